//! The caller's time zone, for programs that do not look at `TZ`.

use std::os::unix::fs::symlink;
use std::path::{Component, Path};

use fs_err as fs;

use super::contract::Contract;

/// Points `/etc/localtime` to the zone. `TZ` works without, so whatever is in the way is only said.
pub(super) fn install(contract: &Contract) {
    let Some(zone) = contract
        .zone
        .as_deref()
        .map(|zone| zone.trim_start_matches(':'))
    else {
        return;
    };
    let is_name = Path::new(zone)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let file = Path::new("/usr/share/zoneinfo").join(zone);
    // A POSIX rule such as `CET-1CEST` is no file; an image without tzdata has none.
    if zone.is_empty() || !is_name || !file.is_file() {
        return;
    }
    let link = Path::new("/etc/localtime");
    if fs::read_link(link).is_ok_and(|target| target == file) {
        return;
    }
    fs::remove_file(link).unwrap_or_default();
    let done = symlink(&file, link).and_then(|()| fs::write("/etc/timezone", format!("{zone}\n")));
    if let Err(error) = done {
        crate::say(&format!("the time zone {zone} is only in TZ: {error}"));
    }
}
