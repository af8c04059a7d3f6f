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
    settings::{Config, Layer, SETTINGS, Scope},
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
}

/// Reads the team file for a project: in its directory, else in the root of the repository that it is in. That is the
/// caller's, root's, or whoever's the project is: in `/tmp` anybody can make a `.git` above what others do there.
pub fn find(directory: &Path, homes: Homes<'_>) -> Result<Option<Team>, TeamError> {
    let here = directory.join(FILE);
    if let Some(bytes) = read(&here)? {
        return parse(&bytes, &here, homes).map(Some);
    }
    let owner = fs_err::metadata(directory).map(|project| project.uid());
    let owners = [
        Some(0),
        Some(rustix::process::getuid().as_raw()),
        owner.ok(),
    ];
    let is_root = |place: &&Path| {
        fs_err::symlink_metadata(place.join(".git"))
            .is_ok_and(|git| owners.contains(&Some(git.uid())))
    };
    let root = directory.ancestors().find(is_root);
    let Some(path) = root
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
    let settings = match mapping.get(SETTINGS).and_then(Node::as_mapping) {
        Some(below) => Layer::of_config(&file.settings, below, (path, &Scope::Team))?,
        None => Layer::default(),
    };
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
