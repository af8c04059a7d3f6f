//! The environment that programs in a cage begin with: the image's, as engines give it.

use std::{collections::BTreeMap, ffi::OsString};

use assembler::image::Image;

/// Where programs are if the image does not say so.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Joins the image's variables with those that are asked for.
pub(super) fn of_image<'a>(
    image: &Image,
    hostname: &str,
    added: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> Vec<(OsString, OsString)> {
    let mut all: BTreeMap<OsString, OsString> = BTreeMap::new();
    all.insert("PATH".into(), PATH.into());
    all.insert("HOSTNAME".into(), hostname.into());
    for variable in &image.config().value().config.env {
        if let Some((name, value)) = variable.split_once('=') {
            all.insert(name.into(), value.into());
        }
    }
    for (name, value) in added {
        all.insert(name.into(), value.into());
    }
    all.entry("HOME".into()).or_insert_with(|| "/root".into());
    all.into_iter().collect()
}
