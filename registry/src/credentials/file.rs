//! Docker's `config.json` and Podman's `auth.json`: which entry is for a registry.
//!
//! Invariant: the order is Docker's and Podman's: a program named for the registry, an entry with a secret in it (the one
//! that names the longest part of the repository first), a program for all.

use std::{
    collections::BTreeMap,
    io::{self, Read as _},
    path::Path,
};

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::Deserialize;

use super::{Credential, CredentialError, Helper, Place, names_of};

const LIMIT: u64 = 1 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuthFile {
    #[serde(default)]
    auths: Option<BTreeMap<String, Entry>>,
    #[serde(default)]
    cred_helpers: Option<BTreeMap<String, String>>,
    #[serde(default)]
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default, alias = "identityToken")]
    identitytoken: Option<String>,
}

/// Reads a file; `None` if there is none, or if it is empty.
pub(super) fn read(path: &Path) -> Result<Option<AuthFile>, CredentialError> {
    let file = match fs_err::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(CredentialError::Read { source }),
    };
    let mut text = Vec::new();
    file.take(LIMIT + 1)
        .read_to_end(&mut text)
        .map_err(|source| CredentialError::Read { source })?;
    if text.len() as u64 > LIMIT {
        return Err(CredentialError::TooLarge {
            path: path.to_owned(),
            limit: LIMIT,
        });
    }
    if text.trim_ascii().is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|source| CredentialError::Json {
            path: path.to_owned(),
            source,
        })
}

impl AuthFile {
    /// Lists the programs that are named, with the registry each is for; `None` for all.
    pub(super) fn programs(&self) -> impl Iterator<Item = (Option<&str>, &str)> {
        let named = self.cred_helpers.iter().flatten();
        let named = named.map(|(registry, program)| (Some(registry.as_str()), program.as_str()));
        let store = self
            .creds_store
            .iter()
            .map(|program| (None, program.as_str()));
        named
            .chain(store)
            .filter(|(_registry, program)| !program.is_empty())
    }

    pub(super) fn place(
        &self,
        path: &Path,
        registry: &str,
        repository: &str,
    ) -> Result<Place, CredentialError> {
        let names = names_of(registry);
        let helpers = self.cred_helpers.as_ref();
        let named = names.iter().find_map(|name| {
            let program = helpers?.get(*name).filter(|program| !program.is_empty())?;
            Some((*name, program))
        });
        if let Some((server, program)) = named {
            return Ok(Place::Helper(Helper {
                name: program.clone(),
                server: server.to_owned(),
                file: path.to_owned(),
                specific: true,
            }));
        }
        if let Some((key, entry)) = self.entry(&names, repository)
            && let Some(credential) = entry.credential(path, key)?
        {
            return Ok(Place::Here(credential));
        }
        let store = self.creds_store.as_ref().filter(|name| !name.is_empty());
        Ok(match (store, names.first()) {
            (Some(program), Some(server)) => Place::Helper(Helper {
                name: program.clone(),
                server: (*server).to_owned(),
                file: path.to_owned(),
                specific: false,
            }),
            _ => Place::Nowhere,
        })
    }

    /// Finds the entry for `repository` at the registry with these names.
    fn entry(&self, names: &[&str], repository: &str) -> Option<(&str, &Entry)> {
        let auths = self.auths.as_ref()?;
        let mut wanted: Vec<String> = Vec::new();
        let mut part = repository;
        loop {
            wanted.extend(names.iter().map(|name| format!("{name}/{part}")));
            match part.rsplit_once('/') {
                Some((above, _)) => part = above,
                None => break,
            }
        }
        wanted.extend(names.iter().map(|name| (*name).to_owned()));
        let exact = wanted
            .iter()
            .find_map(|name| auths.get_key_value(name.as_str()));
        // Docker also writes `https://host` and `https://host/v1/`: the host counts there, never a path.
        let by_host = || {
            auths.iter().find(|(key, _)| {
                let rest = key
                    .strip_prefix("https://")
                    .or_else(|| key.strip_prefix("http://"));
                rest.and_then(|rest| rest.split('/').next())
                    .is_some_and(|host| names.contains(&host))
            })
        };
        exact
            .or_else(by_host)
            .map(|(key, entry)| (key.as_str(), entry))
    }
}

impl Entry {
    /// Returns what the entry holds; Docker Desktop leaves empty ones as marks.
    fn credential(&self, path: &Path, key: &str) -> Result<Option<Credential>, CredentialError> {
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = filled(&self.identitytoken) {
            return Ok(Some(Credential::Identity { token }));
        }
        if let Some(auth) = filled(&self.auth) {
            let bad = || CredentialError::Entry {
                path: path.to_owned(),
                key: key.to_owned(),
            };
            return decode(&auth).map(Some).ok_or_else(bad);
        }
        Ok(filled(&self.username)
            .zip(filled(&self.password))
            .map(|(user, password)| password_or_token(user, password)))
    }
}

/// Decodes base64 of `user:password`.
fn decode(auth: &str) -> Option<Credential> {
    let engine = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let text = String::from_utf8(engine.decode(auth.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    // Docker's own decoder takes trailing NULs off.
    let password = password.trim_end_matches('\0');
    Some(password_or_token(user.to_owned(), password.to_owned()))
}

/// `<token>` in place of a name says that the password is an identity token.
pub(super) fn password_or_token(user: String, password: String) -> Credential {
    if user == "<token>" {
        Credential::Identity { token: password }
    } else {
        Credential::Password { user, password }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, registry: &str, repository: &str, found: &str) {
        let file: AuthFile = serde_json::from_str(json).unwrap();
        let place = file
            .place(Path::new("config.json"), registry, repository)
            .unwrap();
        let shown = match &place {
            Place::Nowhere => "-".to_owned(),
            Place::Here(Credential::Password { user, password }) => format!("{user}:{password}"),
            Place::Here(Credential::Identity { token }) => format!("token {token}"),
            Place::Helper(helper) => format!("{} {}", helper.name, helper.server),
        };
        assert_eq!(shown, found, "{registry}/{repository}");
        let debug = format!("{place:?}");
        for secret in ["pw", "open"] {
            assert!(!debug.contains(secret), "{debug}");
        }
    }

    #[test]
    fn the_entry_is_found_as_docker_and_podman_find_it() {
        // `dTpwdw==` is `u:pw`.
        let hub = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dTpwdw=="}}}"#;
        check(hub, "docker.io", "library/debian", "u:pw");
        check(hub, "ghcr.io", "a", "-");
        let keys = r#"{"auths":{"https://h.example/v1/":{"auth":"dTpwdw"},
            "q.example/org":{"username":"org","password":"pw2"},
            "q.example/org/repo":{"username":"repo","password":"pw3"},
            "i.example":{"identitytoken":"open"},
            "t.example":{"username":"<token>","password":"open"},
            "empty.example":{}}}"#;
        check(keys, "h.example", "x/y", "u:pw");
        check(keys, "q.example", "org/repo", "repo:pw3");
        check(keys, "q.example", "org/other", "org:pw2");
        check(keys, "q.example", "orgx/other", "-");
        check(keys, "i.example", "x", "token open");
        check(keys, "t.example", "x", "token open");
        check(keys, "empty.example", "x", "-");
        check(keys, "example", "x", "-");
    }

    #[test]
    fn a_program_named_for_the_registry_comes_first_and_one_for_all_last() {
        let both = r#"{"auths":{"a.example":{"auth":"dTpwdw=="},"https://index.docker.io/v1/":{}},
            "credHelpers":{"b.example":"special"},"credsStore":"desktop"}"#;
        check(both, "a.example", "x", "u:pw");
        check(both, "b.example", "x", "special b.example");
        check(both, "c.example", "x", "desktop c.example");
        check(
            both,
            "docker.io",
            "x",
            "desktop https://index.docker.io/v1/",
        );
        check(
            r#"{"auths":null,"credHelpers":null}"#,
            "a.example",
            "x",
            "-",
        );
    }

    #[test]
    fn an_entry_that_is_not_base64_names_the_file_and_the_key() {
        for auth in ["!!", "dQ=="] {
            let json = format!(r#"{{"auths":{{"a.example":{{"auth":"{auth}"}}}}}}"#);
            let file: AuthFile = serde_json::from_str(&json).unwrap();
            let error = file
                .place(Path::new("/h/config.json"), "a.example", "x")
                .unwrap_err();
            assert_eq!(
                error.to_string(),
                "the entry `a.example` in /h/config.json is not base64 of `user:password`"
            );
        }
    }
}
