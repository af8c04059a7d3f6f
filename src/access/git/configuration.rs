//! Git's configuration as git itself reads it for the project, with the file that each value comes from.
//!
//! Format: what `git config --list --show-scope --show-origin -z` prints: scope, origin, and key with value, each ended by NUL.
//! Invariant: one run of git; where there is no git, or one older than 2.26, only the usual files are known. What the
//! repository says of itself names no file to give away: whoever wrote the repository wrote that.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::settings::Settings;

/// Keys of the user's own configuration that name files or directories which git reads.
const NAMES_FILES: [&str; 7] = [
    "commit.template",
    "core.attributesfile",
    "core.excludesfile",
    "core.hookspath",
    "gpg.ssh.allowedsignersfile",
    "gpg.ssh.revocationfile",
    "mailmap.file",
];

/// What git is configured to do.
#[derive(Clone, Debug, Default)]
pub struct GitConfiguration {
    /// The user's files, whether named by git or usual.
    files: BTreeSet<PathBuf>,
    values: Vec<(Scope, String, Vec<u8>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// The user's.
    User,
    /// Of anything else: the machine, the repository, the environment.
    Other,
}

impl GitConfiguration {
    /// Asks git.
    pub fn read(settings: &Settings) -> Self {
        let mut command = Command::new("git");
        command
            .args(["config", "--list", "--includes", "--show-scope"])
            .args(["--show-origin", "-z"])
            .current_dir(&settings.directory)
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        let said = command.output().ok();
        let listed = said.filter(|said| said.status.success());
        let listed = listed.map(|said| said.stdout).unwrap_or_default();
        let mut configuration = Self::parse(&listed, &settings.directory);
        configuration.files.extend(usual_files(settings));
        configuration.add_named(settings);
        configuration
    }

    fn parse(listed: &[u8], directory: &Path) -> Self {
        let mut configuration = Self::default();
        let mut fields = listed.split(|byte| *byte == 0);
        while let (Some(scope), Some(origin), Some(value)) =
            (fields.next(), fields.next(), fields.next())
        {
            let scope = if scope == b"global" {
                Scope::User
            } else {
                Scope::Other
            };
            if let Some(file) = origin.strip_prefix(b"file:")
                && scope == Scope::User
            {
                let file = directory.join(OsStr::from_bytes(file));
                configuration.files.insert(file);
            }
            let mut parts = value.splitn(2, |byte| *byte == b'\n');
            let key = parts.next().unwrap_or_default();
            // A key alone means true.
            let value = parts.next().unwrap_or(b"true");
            let key = String::from_utf8_lossy(key).into_owned();
            configuration.values.push((scope, key, value.to_owned()));
        }
        configuration
    }

    /// Adds what the user's values name.
    fn add_named(&mut self, settings: &Settings) {
        let named = self.values.iter().filter(|(scope, key, value)| {
            *scope == Scope::User && NAMES_FILES.contains(&key.as_str()) && !value.is_empty()
        });
        let paths: Vec<PathBuf> = named
            .map(|(_, _, value)| PathBuf::from(OsStr::from_bytes(value)))
            .filter(|path| path.starts_with("~") || path.is_absolute())
            .map(|path| settings.user_path(&path))
            .collect();
        self.files.extend(paths);
    }

    /// Returns the user's files that are there: the configuration, what it includes, and what it names.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        // `/dev/null` is a way to say that there is none.
        let is_given = |path: &&PathBuf| path.is_file() || path.is_dir();
        self.files.iter().filter(is_given)
    }

    /// Returns the value that counts, whoever set it.
    pub fn value(&self, key: &str) -> Option<String> {
        let found = self.values.iter().rev().find(|(_, name, _)| name == key);
        found.map(|(_, _, value)| String::from_utf8_lossy(value).into_owned())
    }

    /// Returns the value that counts, if the user set it.
    pub fn users_value(&self, key: &str) -> Option<String> {
        let (scope, _, value) = self.values.iter().rev().find(|(_, name, _)| name == key)?;
        (*scope == Scope::User).then(|| String::from_utf8_lossy(value).into_owned())
    }

    /// Tells whether a switch is on.
    pub fn is_on(&self, key: &str) -> bool {
        let value = self.value(key).unwrap_or_default().to_lowercase();
        ["true", "yes", "on", "1"].contains(&value.as_str())
    }

    /// Tells whether commits or tags are signed, and with what: `openpgp`, `ssh`, `x509`.
    pub fn signs_with(&self) -> Option<String> {
        let signs = self.is_on("commit.gpgsign") || self.is_on("tag.gpgsign");
        signs.then(|| {
            self.value("gpg.format")
                .unwrap_or_else(|| "openpgp".to_owned())
        })
    }

    /// Returns who commits.
    pub fn author(&self) -> Option<String> {
        let name = self.value("user.name")?;
        let email = self.value("user.email");
        Some(email.map_or_else(|| name.clone(), |email| format!("{name} <{email}>")))
    }

    /// Returns a remote that is reached with SSH.
    pub fn ssh_remote(&self) -> Option<String> {
        let is_url = |key: &str| {
            let name = key.rsplit('.').next();
            key.starts_with("remote.") && matches!(name, Some("url" | "pushurl"))
        };
        self.values
            .iter()
            .filter(|(_, key, _)| is_url(key))
            .map(|(_, _, url)| self.rewritten(&String::from_utf8_lossy(url)))
            .find(|url| is_ssh(url))
    }

    /// Applies `url.BASE.insteadOf`, of which the longest counts.
    fn rewritten(&self, url: &str) -> String {
        let bases = self.values.iter().filter_map(|(_, key, prefix)| {
            let base = key.strip_prefix("url.")?;
            let base = base
                .strip_suffix(".insteadof")
                .or_else(|| base.strip_suffix(".pushinsteadof"))?;
            let prefix = std::str::from_utf8(prefix).ok()?;
            Some((prefix, base))
        });
        let fitting = bases.filter_map(|(prefix, base)| {
            let rest = url.strip_prefix(prefix)?;
            Some((prefix.len(), format!("{base}{rest}")))
        });
        let longest = fitting.max_by_key(|(length, _)| *length);
        longest.map_or_else(|| url.to_owned(), |(_, rewritten)| rewritten)
    }
}

/// `ssh://…`, or `[user@]host:path` as `scp` has it; a path of this machine is neither.
fn is_ssh(url: &str) -> bool {
    if let Some((scheme, _)) = url.split_once("://") {
        return matches!(scheme, "ssh" | "git+ssh" | "ssh+git");
    }
    let host = url.split('/').next().unwrap_or_default();
    host.contains(':') && !host.starts_with(':')
}

/// The files that git reads without being told to.
fn usual_files(settings: &Settings) -> Vec<PathBuf> {
    let xdg = settings.environment.config_home.clone();
    let xdg = xdg.unwrap_or_else(|| settings.user_home.join(".config"));
    let beside = ["ignore", "attributes"].map(|name| xdg.join("git").join(name));
    let own = match &settings.environment.git_config_global {
        Some(file) => vec![file.clone()],
        None => vec![
            settings.user_home.join(".gitconfig"),
            xdg.join("git/config"),
        ],
    };
    own.into_iter().chain(beside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(entries: &[(&str, &str, &str)]) -> GitConfiguration {
        let fields = entries
            .iter()
            .flat_map(|(scope, origin, value)| [*scope, origin, value]);
        let text: String = fields.flat_map(|field| [field, "\0"]).collect();
        GitConfiguration::parse(text.as_bytes(), Path::new("/p"))
    }

    #[test]
    fn only_the_users_files_are_listed() {
        let configuration = configuration(&[
            ("system", "file:/etc/gitconfig", "core.editor\nvi"),
            ("global", "file:/h/.gitconfig", "user.name\nMe\nand you"),
            ("global", "file:/h/a b/inc", "commit.gpgsign"),
            ("local", "file:.git/config", "include.path\n/h/secret"),
            ("local", "file:/h/secret", "x.y\nz"),
        ]);
        let files: Vec<&PathBuf> = configuration.files.iter().collect();
        assert_eq!(files, [Path::new("/h/.gitconfig"), Path::new("/h/a b/inc")]);
        assert_eq!(configuration.value("user.name").unwrap(), "Me\nand you");
        assert_eq!(configuration.signs_with().unwrap(), "openpgp");
    }

    #[test]
    fn a_remote_over_ssh_is_known_by_its_address() {
        let remote = |url: &str| {
            let value = format!("remote.origin.url\n{url}");
            configuration(&[
                ("local", "file:.git/config", value.as_str()),
                (
                    "global",
                    "file:/g",
                    "url.git@forge.example:.insteadof\nforge:",
                ),
            ])
            .ssh_remote()
        };
        for url in [
            "git@forge.example:me/x",
            "forge.example:x",
            "ssh://forge.example/x",
            "forge:me/x",
        ] {
            assert!(remote(url).is_some(), "{url}");
        }
        for url in [
            "https://me@forge.example/x",
            "/srv/git:x",
            "../x",
            "file:///x",
        ] {
            assert!(remote(url).is_none(), "{url}");
        }
    }
}
