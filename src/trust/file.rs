//! Finds and reads `aicage.yml`.

use std::{
    collections::BTreeMap,
    io::Read as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use assembler::digest::Digest;
use rustix::{fs::OFlags, io::Errno};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Agreements, Consent, Team, TeamError, Wish, option};
use crate::{
    session::guard,
    settings::{Config, Layer, Origin, SETTINGS, Scope},
    yaml::{
        self, YamlError,
        tree::{self, Mapping, Node},
    },
};

/// Its name.
pub const FILE: &str = "aicage.yml";
/// The most bytes of it.
const LIMIT: u64 = 64 << 10;
/// The most of anything that it lists.
const ITEMS: usize = 200;

/// `aicage.yml`: what a repository wants for all who work on it.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "aicage.yml")]
pub struct TeamFile {
    /// The agent that `aicage run` starts when none is named.
    pub agent: Option<String>,
    /// The base that agents run on.
    pub base: Option<String>,
    /// The extensions, by the names that they have on each user's machine.
    pub extensions: Option<Vec<String>>,
    /// Options of the container, one each, as `--name=value`. Limits and the like count at once, all others after consent.
    pub options: Vec<String>,
    /// Paths to mount, `PATH` or `PATH:ro`, relative ones from the directory of this file. They need consent.
    pub shares: Vec<String>,
    /// Access to things of the host, such as `ssh` or `docker`: `false` counts at once, `true` after consent.
    pub mounts: BTreeMap<String, bool>,
    /// Settings of the program, as in `config.yml`. Those that only tighten count at once, all others after consent.
    pub settings: Config,
}

/// Where a user's things are.
#[derive(Clone, Copy, Debug)]
pub struct Homes<'a> {
    /// The user's own.
    pub user: &'a Path,
    /// aicage's.
    pub aicage: &'a Path,
    /// The user's number.
    pub uid: u32,
}

/// Reads the team file for a project: in its directory, else in the root of the repository that it is in. That is the
/// caller's, root's, or whoever's the project is: in `/tmp` anybody can make a `.git` above what others do there. One that
/// is nobody's of these hides all above it: what is below it is not theirs.
pub fn find(directory: &Path, homes: Homes<'_>) -> Result<Option<Team>, TeamError> {
    let here = directory.join(FILE);
    if let Some(bytes) = read(&here)? {
        return parse(&bytes, &here, homes).map(Some);
    }
    let owner = fs_err::metadata(directory).map(|project| project.uid());
    let owners = [Some(0), Some(homes.uid), owner.ok()];
    let git = |place: &Path| {
        let git = fs_err::symlink_metadata(place.join(".git"));
        git.ok().map(|git| git.uid())
    };
    let Some(path) = root(directory, &owners, git)
        .filter(|root| *root != directory)
        .map(|root| root.join(FILE))
    else {
        return Ok(None);
    };
    match read(&path)? {
        Some(bytes) => parse(&bytes, &path, homes).map(Some),
        None => Ok(None),
    }
}

/// Finds the root of the repository that `directory` is in, if its `.git` is one of the owners'; `git` tells whose it is.
fn root<'a>(
    directory: &'a Path,
    owners: &[Option<u32>],
    git: impl Fn(&Path) -> Option<u32>,
) -> Option<&'a Path> {
    let mut above = directory.ancestors();
    let (root, owner) = above.find_map(|place| Some((place, git(place)?)))?;
    owners.contains(&Some(owner)).then_some(root)
}

/// Reads the file once, without following a link and without waiting for a pipe.
fn read(path: &Path) -> Result<Option<Vec<u8>>, TeamError> {
    let failed = |source| TeamError::Read {
        path: path.to_owned(),
        source,
    };
    let kind = |what| TeamError::Kind {
        path: path.to_owned(),
        what,
    };
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    // The other kind of file hides the system's own number of an error.
    let opened = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags.cast_signed())
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) => {
            return match error.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::NOENT | Errno::NOTDIR) => Ok(None),
                Some(Errno::LOOP) => Err(kind("a symbolic link")),
                Some(Errno::NXIO) => Err(kind("a socket")),
                Some(_) | None => Err(failed(error)),
            };
        }
    };
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(kind("no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > LIMIT {
        return Err(YamlError::Content {
            path: path.to_owned(),
            line: 1,
            reason: format!("it is larger than {} KiB", LIMIT >> 10),
        }
        .into());
    }
    Ok(Some(bytes))
}

fn parse(bytes: &[u8], path: &Path, homes: Homes<'_>) -> Result<Team, TeamError> {
    let root = tree::parse(bytes, path)?;
    let empty = Mapping::default();
    let mapping = root.as_mapping().unwrap_or(&empty);
    let file: TeamFile = if root.as_mapping().is_some_and(Mapping::is_empty) {
        TeamFile::default()
    } else {
        yaml::parse(bytes, path)?
    };
    let content = |key: &str, reason: String| YamlError::Content {
        path: path.to_owned(),
        line: mapping.line_of(key).max(1),
        reason,
    };
    let settings = settings(&file.settings, mapping, path)?;
    for (key, count) in [
        ("extensions", file.extensions.iter().flatten().count()),
        ("options", file.options.len()),
        ("shares", file.shares.len()),
        ("mounts", file.mounts.len()),
    ] {
        if count > ITEMS {
            return Err(content(key, format!("`{key}` has more than {ITEMS} items")).into());
        }
    }
    let options: Vec<option::TeamOption> = file
        .options
        .iter()
        .map(|text| option::TeamOption::parse(text))
        .collect::<Result<_, _>>()
        .map_err(|reason| content("options", reason))?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    let shares: Vec<(String, PathBuf)> = file
        .shares
        .iter()
        .map(|text| share(text, directory, homes.user))
        .collect::<Result<_, _>>()
        .map_err(|reason| content("shares", reason))?;
    let mut wishes = Vec::new();
    wishes.extend(shares.iter().map(|(text, real)| Wish::share(text, real)));
    let mounts = file.mounts.iter().filter(|(_, wanted)| **wanted);
    wishes.extend(mounts.map(|(name, _)| Wish::mount(name)));
    let wide = options.iter().filter(|option| !option.tightens());
    wishes.extend(wide.map(|option| Wish::option(&option.text())));
    wishes.extend(
        settings
            .iter()
            .filter_map(|(key, value, _)| Wish::setting(key, value)),
    );
    let mut meaning = tree::to_text(&root, path)?.into_bytes();
    for (_, real) in &shares {
        meaning.push(0);
        meaning.extend(std::os::unix::ffi::OsStrExt::as_bytes(real.as_os_str()));
    }
    let digest = Digest::of(&meaning);
    let consent = if wishes.is_empty() {
        Consent::None
    } else {
        Agreements::below(homes.aicage).consent(path, &digest)
    };
    Ok(Team {
        path: path.to_owned(),
        options: options
            .iter()
            .map(|option| (option.quoted(), option.tightens()))
            .collect(),
        shares,
        lines: ["agent", "base", "extensions", "options", "shares", "mounts"]
            .into_iter()
            .filter(|key| mapping.get(key).is_some())
            .map(|key| (key, mapping.line_of(key)))
            .collect(),
        file,
        settings,
        wishes,
        digest,
        consent,
    })
}

/// Returns the settings; those that name files are refused: what was agreed to would be a name, and the repository says
/// what lies there tomorrow.
fn settings(config: &Config, mapping: &Mapping, path: &Path) -> Result<Layer, YamlError> {
    let Some(below) = mapping.get(SETTINGS).and_then(Node::as_mapping) else {
        return Ok(Layer::default());
    };
    let settings = Layer::of_config(config, below, (path, &Scope::Team))?;
    let named = settings.iter().find(|(key, value, _)| match *key {
        "network.ca" => value.as_array().is_some_and(|files| !files.is_empty()),
        "definitions" => value.as_str().is_some_and(|text| {
            let name = text.strip_prefix("oci:");
            !text.is_empty() && name.is_none_or(|name| name.starts_with(['/', '~', '.']))
        }),
        _ => false,
    });
    let Some((key, _, origin)) = named else {
        return Ok(settings);
    };
    let line = match origin {
        Origin::File { line, .. } => *line,
        Origin::Default | Origin::Variable(_) | Origin::Flag => 1,
    };
    Err(YamlError::Content {
        path: path.to_owned(),
        line,
        reason: format!(
            "`{key}` names files, whose content nobody agrees to; that is for your own `config.yml`"
        ),
    })
}

/// Returns a share as it is from here, and where it really is.
fn share(text: &str, directory: &Path, home: &Path) -> Result<(String, PathBuf), String> {
    let (path, access) = match text.strip_suffix(":ro") {
        Some(path) => (path, ":ro"),
        None => (text, ""),
    };
    if path.trim().is_empty() || path.contains(char::is_control) {
        return Err("an item of `shares` is no path".to_owned());
    }
    let path = match Path::new(path).strip_prefix("~") {
        Ok(rest) => home.join(rest),
        Err(_) => directory.join(path),
    };
    let real = guard::real(&path);
    let text = path
        .to_str()
        .ok_or_else(|| format!("the path of `{text}` is not UTF-8 text"))?;
    Ok((format!("{text}{access}"), real))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_repository_hides_what_is_above_it() {
        let root = |whose: u32| {
            let git = |place: &Path| match place.to_str() {
                Some("/home/me") => Some(1000),
                Some("/home/me/inbox") => Some(whose),
                _ => None,
            };
            let found = root(Path::new("/home/me/inbox/a/b"), &[Some(0), Some(1000)], git);
            found.map(Path::to_owned)
        };
        assert_eq!(root(1000), Some("/home/me/inbox".into()));
        assert_eq!(root(0), Some("/home/me/inbox".into()));
        assert_eq!(root(1001), None);
    }
}
