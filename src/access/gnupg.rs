//! Signing with the keys of the user's gpg agent, through the socket that the agent has for others.
//!
//! Invariant: no private key and no directory of gpg's is given; the extra socket signs and decrypts and gives no key away.

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{
    kind::{Grant, Kind},
    offer::{AccessOffer, read_only},
};
use crate::{
    diagnostic::Diagnostic,
    engine::session::{Access, SessionMount},
    exit_status::ExitStatus,
    settings::Settings,
};

/// What gpg reads beside the agent, without secrets.
const PUBLIC: [&str; 4] = ["gpg.conf", "pubring.gpg", "pubring.kbx", "trustdb.gpg"];

/// Returns the offer of the agent; nothing where there is no gpg.
pub(super) fn offer(settings: &Settings) -> Option<AccessOffer> {
    let listed = said(&["--list-dirs"])?;
    // Who has none has no keys, and no agent is started for that.
    let home = directory(&listed, b"homedir").filter(|home| home.is_dir())?;
    let socket = directory(&listed, b"agent-extra-socket")?;
    let mut offer = AccessOffer::new(
        Kind::GnuPg,
        "signing with your GnuPG agent".to_owned(),
        Grant::Nothing,
    );
    "commits are signed with the keys of your GnuPG agent, which cannot be read from inside"
        .clone_into(&mut offer.why);
    offer.question = Some("Commits are signed with the keys of your GnuPG agent.".to_owned());
    if let Some(home) = settings
        .environment
        .gnupg_home
        .as_ref()
        .and_then(|home| home.to_str())
    {
        offer
            .variables
            .insert("GNUPGHOME".to_owned(), home.to_owned());
    }
    offer.full.push(SessionMount {
        source: socket,
        target: home.join("S.gpg-agent"),
        access: Access::ReadWrite,
    });
    let public = PUBLIC.iter().map(|name| home.join(name));
    let there = public.filter(|path| path.is_file());
    offer.full.extend(there.map(|path| read_only(&path)));
    Some(offer)
}

/// Makes sure that the agent listens, before its socket is mounted.
pub(super) fn start(offer: &AccessOffer) -> Result<(), Diagnostic> {
    let socket = offer.full.first().map(|mount| mount.source.as_path());
    let listens = || socket.is_some_and(Path::exists);
    if listens() || said(&["--launch", "gpg-agent"]).is_some() && listens() {
        return Ok(());
    }
    Err(Diagnostic::new(
        "gnupg-agent",
        ExitStatus::Failed,
        "the GnuPG agent does not listen, so that nothing can be signed",
    )
    .hint("`gpgconf --launch gpg-agent` starts it; `--deny gnupg` starts the session without"))
}

fn said(arguments: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new("gpgconf")
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then_some(output.stdout)
}

/// Finds a line `NAME:PATH`, where `%3a` is a colon.
fn directory(listed: &[u8], name: &[u8]) -> Option<PathBuf> {
    let line = listed.split(|byte| *byte == b'\n').find_map(|line| {
        let rest = line.strip_prefix(name)?;
        rest.strip_prefix(b":")
    })?;
    let mut path = Vec::with_capacity(line.len());
    let mut rest = line;
    while let [first, after @ ..] = rest {
        let code = after.get(..2).filter(|_| *first == b'%');
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        if let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            path.push(byte);
            rest = after.get(2..).unwrap_or_default();
        } else {
            path.push(*first);
            rest = after;
        }
    }
    Some(PathBuf::from(OsString::from_vec(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_read_as_gpgconf_escapes_them() {
        let listed = b"homedir:/h/a%3ab%25\nagent-socket:/s\n";
        assert_eq!(directory(listed, b"homedir").unwrap(), Path::new("/h/a:b%"));
        assert_eq!(directory(listed, b"agent"), None);
    }
}
