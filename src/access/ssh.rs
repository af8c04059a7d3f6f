//! SSH: the keys of the user's agent, with what a client needs to know beside them; and the private keys themselves.
//!
//! Invariant: with the agent go only files without secrets: known hosts, the client's configuration, public keys.

use std::{
    collections::BTreeSet,
    os::unix::{ffi::OsStrExt as _, fs::FileTypeExt as _},
    path::{Path, PathBuf},
};

use super::{
    git::GitConfiguration,
    kind::{Grant, Kind},
    offer::{AccessOffer, read_only, writable},
};
use crate::{
    printer::printable,
    settings::Settings,
    small_file::{self, SmallFile},
};

/// How much of a client's configuration is read.
const LIMIT: u64 = 1 << 20;

/// Returns the offer of the agent, if one listens.
pub(super) fn agent(settings: &Settings, git: &GitConfiguration) -> Option<AccessOffer> {
    let socket = settings.environment.ssh_auth_sock.as_ref()?;
    let listens = fs_err::metadata(socket).is_ok_and(|there| there.file_type().is_socket());
    let name = socket.to_str().filter(|_| listens)?;
    let mut offer = AccessOffer::new(
        Kind::SshAgent,
        "the keys of your SSH agent".to_owned(),
        Grant::Nothing,
    );
    "remotes and signatures work with the keys of your SSH agent, which cannot be read from inside"
        .clone_into(&mut offer.why);
    let remote = git.ssh_remote();
    offer.question = match (remote, git.signs_with().as_deref()) {
        (Some(remote), _) => Some(format!(
            "`git push` and `git fetch` reach {} with the keys of your SSH agent.",
            printable(&without_user(&remote))
        )),
        (None, Some("ssh")) => Some("Commits are signed with a key of your SSH agent.".to_owned()),
        (None, _) => None,
    };
    offer.full.push(writable(socket));
    offer.full.extend(public(settings, git));
    offer
        .variables
        .insert("SSH_AUTH_SOCK".to_owned(), name.to_owned());
    Some(offer)
}

/// Returns the offer of the whole directory, if there is one.
pub(super) fn directory(settings: &Settings) -> Option<AccessOffer> {
    let directory = settings.user_home.join(".ssh");
    if !directory.is_dir() {
        return None;
    }
    let mut offer = AccessOffer::new(
        Kind::Ssh,
        format!("{} with your private keys", directory.display()),
        Grant::Nothing,
    );
    "remotes are reached without an SSH agent; the agent can read and keep the keys"
        .clone_into(&mut offer.why);
    offer.full.push(read_only(&directory));
    Some(offer)
}

/// A password in an address is nothing to show.
fn without_user(remote: &str) -> String {
    match remote.split_once("://") {
        Some((scheme, rest)) => {
            let host = rest.split('/').next().unwrap_or_default();
            let path = rest.strip_prefix(host).unwrap_or_default();
            let host = host.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        None => remote.to_owned(),
    }
}

/// Lists what a client reads that is no secret.
fn public(
    settings: &Settings,
    git: &GitConfiguration,
) -> Vec<crate::engine::session::SessionMount> {
    let directory = settings.user_home.join(".ssh");
    let mut files: BTreeSet<PathBuf> = ["config", "known_hosts", "known_hosts2", "allowed_signers"]
        .iter()
        .map(|name| directory.join(name))
        .collect();
    let entries = fs_err::read_dir(&directory).into_iter().flatten().flatten();
    files.extend(
        entries
            .map(|entry| entry.path())
            .filter(|path| is_public(path)),
    );
    files.extend(included(&directory));
    let key = git.users_value("user.signingkey");
    let key = key.map(|key| settings.user_path(Path::new(&key)));
    files.extend(key.filter(|key| is_public(key)));
    files
        .iter()
        .filter(|path| path.is_file())
        .map(|path| read_only(path))
        .collect()
}

fn is_public(path: &Path) -> bool {
    path.extension() == Some("pub".as_ref())
}

/// Lists the files in the directory that its configuration includes; names with a star in the last part are looked up.
fn included(directory: &Path) -> Vec<PathBuf> {
    let text = match small_file::read(&directory.join("config"), LIMIT) {
        Ok(SmallFile::Content(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        Ok(SmallFile::Missing | SmallFile::TooLarge(_)) | Err(_) => return Vec::new(),
    };
    let patterns = text
        .lines()
        .map(str::trim)
        .filter_map(|line| line.split_once(|letter: char| letter.is_whitespace() || letter == '='))
        .filter(|(word, _)| word.eq_ignore_ascii_case("include"))
        .flat_map(|(_, rest)| rest.split_whitespace())
        .map(|pattern| pattern.trim_matches('"'))
        .filter_map(|pattern| {
            let pattern = pattern.strip_prefix("~/.ssh/").unwrap_or(pattern);
            let is_ours = !pattern.starts_with(['/', '~']) && !pattern.contains("..");
            is_ours.then(|| directory.join(pattern))
        });
    patterns.flat_map(|pattern| matching(&pattern)).collect()
}

fn matching(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern.file_name().unwrap_or_default().as_bytes();
    let Some(star) = name.iter().position(|byte| *byte == b'*') else {
        return vec![pattern.to_owned()];
    };
    let (before, after) = (&name[..star], &name[star + 1..]);
    let directory = pattern.parent().unwrap_or(pattern);
    let entries = fs_err::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.as_bytes();
            // A star alone in the directory itself would take the private keys, too.
            let is_some = !before.is_empty() || !after.is_empty() || !directory.ends_with(".ssh");
            is_some
                && name.len() >= before.len() + after.len()
                && name.starts_with(before)
                && name.ends_with(after)
        })
        .map(|entry| entry.path())
        .collect()
}
