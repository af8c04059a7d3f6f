//! `RUN --mount=`: what is there while a command runs.

use super::{
    lines,
    script::{Refusal, refuse},
    state::absolute,
};
use crate::instruction::{Access, Sharing};

/// A mount whose variables are expanded.
#[derive(Clone, Debug)]
pub(crate) struct Mount {
    /// Where it is asked for.
    pub(crate) line: usize,
    /// Where, absolute.
    pub(crate) target: String,
    pub(crate) kind: Kind,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bind {
        /// As written: a stage, an image; nothing for the build context.
        from: Option<String>,
        source: String,
        access: Access,
    },
    Cache {
        id: String,
        from: Option<String>,
        source: String,
        sharing: Sharing,
        access: Access,
        mode: u32,
        uid: u32,
        gid: u32,
    },
    Tmpfs {
        size: Option<u64>,
    },
    Secret {
        id: String,
        need: Need,
        shown: Shown,
        mode: u32,
        uid: u32,
        gid: u32,
    },
    /// A here-document that is run as a program.
    Document {
        name: String,
        content: String,
    },
}

impl Kind {
    /// Says whether each command begins with what is mounted as if nobody had written to it before.
    pub(crate) fn is_fresh_each_time(&self) -> bool {
        match self {
            Self::Bind { access, .. } => *access == Access::ReadWrite,
            Self::Tmpfs { .. } => true,
            Self::Cache { .. } | Self::Secret { .. } | Self::Document { .. } => false,
        }
    }
}

/// How a command sees a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) file: bool,
    /// The variable that holds it.
    pub(crate) variable: Option<String>,
}

/// Whether a build without a secret goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Required,
    Optional,
}

/// Returns what a mount is made from, as it is written; of two, the last.
pub(crate) fn from_of(text: &str) -> Option<String> {
    lines::split_fields(text)?
        .iter()
        .filter_map(|field| field.split_once('='))
        .rfind(|(key, _)| key.eq_ignore_ascii_case("from"))
        .map(|(_, value)| value.to_owned())
}

#[derive(Default)]
struct Fields {
    kind: Option<String>,
    from: Option<String>,
    source: Option<String>,
    target: Option<String>,
    id: Option<String>,
    sharing: Option<Sharing>,
    access: Option<Access>,
    need: Option<Need>,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    size: Option<u64>,
    variable: Option<String>,
}

/// Understands one `--mount=`; `expand` expands variables, `directory` is the current one.
pub(crate) fn read(
    text: &str,
    line: usize,
    directory: &str,
    expand: impl Fn(&str) -> Result<String, Refusal>,
) -> Result<Mount, Refusal> {
    let instead = "write for example `--mount=type=bind,source=x,target=/x`, `--mount=type=cache,target=/root/.cache`, \
`--mount=type=tmpfs,target=/t` or `--mount=type=secret,id=x`";
    let parts = lines::split_fields(text)
        .ok_or_else(|| refuse(line, "--mount has a quote that is not closed", instead))?;
    let mut fields = Fields::default();
    for part in parts {
        let (key, value) = match part.split_once('=') {
            Some((key, value)) => (key.to_ascii_lowercase(), Some(expand(value)?)),
            None => (part.to_ascii_lowercase(), None),
        };
        fields
            .take(&key, value)
            .map_err(|reason| refuse(line, format!("--mount: {reason}"), instead))?;
    }
    fields.finish(line, directory)
}

impl Fields {
    fn take(&mut self, key: &str, value: Option<String>) -> Result<(), String> {
        let number = |radix| {
            let text = value.as_deref().unwrap_or_default();
            u32::from_str_radix(text, radix)
                .map(Some)
                .map_err(|error| format!("`{key}={text}`: {error}"))
        };
        let truth = || match value.as_deref() {
            None | Some("true" | "1" | "t" | "T" | "TRUE" | "True") => Ok(true),
            Some("false" | "0" | "f" | "F" | "FALSE" | "False") => Ok(false),
            Some(other) => Err(format!("`{key}={other}` is neither true nor false")),
        };
        match key {
            "ro" | "readonly" => {
                self.access = Some(if truth()? {
                    Access::ReadOnly
                } else {
                    Access::ReadWrite
                });
            }
            "rw" | "readwrite" => {
                self.access = Some(if truth()? {
                    Access::ReadWrite
                } else {
                    Access::ReadOnly
                });
            }
            "required" => {
                self.need = Some(if truth()? {
                    Need::Required
                } else {
                    Need::Optional
                });
            }
            _ if value.is_none() => return Err(format!("`{key}` has no value")),
            "type" => self.kind = value,
            "from" => self.from = value,
            "source" | "src" => self.source = value,
            "target" | "dst" | "destination" => self.target = value,
            "id" => self.id = value,
            "env" => self.variable = value,
            "mode" => self.mode = number(8)?,
            "uid" => self.uid = number(10)?,
            "gid" => self.gid = number(10)?,
            "size" => {
                let text = value.unwrap_or_default();
                self.size = Some(bytes(&text).ok_or_else(|| format!("`size={text}` is no size"))?);
            }
            "sharing" => {
                self.sharing = Some(match value.as_deref() {
                    Some("shared") => Sharing::Shared,
                    Some("private") => Sharing::Private,
                    Some("locked") => Sharing::Locked,
                    other => {
                        let other = other.unwrap_or_default();
                        return Err(format!("`sharing={other}` is not known"));
                    }
                });
            }
            _ => return Err(format!("`{key}` is not known")),
        }
        Ok(())
    }

    fn finish(self, line: usize, directory: &str) -> Result<Mount, Refusal> {
        let kind = self.kind.clone().unwrap_or_else(|| "bind".to_owned());
        let target = self.target.as_deref().filter(|target| !target.is_empty());
        let secret = self.secret_id();
        if kind == "secret" && secret.is_empty() {
            return Err(refuse(
                line,
                "--mount=type=secret names no secret",
                "write `id=` with the name under which it is given",
            ));
        }
        if kind == "secret" && self.source.is_some() && self.id.is_some() {
            return Err(refuse(
                line,
                "--mount=type=secret has `id=` and `source=`, which both name the secret",
                "write one of them",
            ));
        }
        if kind == "ssh" {
            return Err(refuse(
                line,
                "--mount=type=ssh is not done: no agent of the host reaches a step",
                "use `--mount=type=secret` for a key or a token",
            ));
        }
        let has_target = target.is_some();
        let needs_target = !has_target && kind != "secret";
        let target = match target {
            Some(target) => absolute(directory, target),
            None => format!("/run/secrets/{}", base_name(&secret)),
        };
        if target == "/" || needs_target {
            return Err(refuse(
                line,
                "--mount has no target, or one that is the root",
                "write `target=` with a directory below the root",
            ));
        }
        let kind = match kind.as_str() {
            "bind" => Kind::Bind {
                from: self.from,
                source: self.source.unwrap_or_default(),
                access: self.access.unwrap_or(Access::ReadOnly),
            },
            "cache" => Kind::Cache {
                id: self.id.unwrap_or_else(|| target.clone()),
                from: self.from,
                source: self.source.unwrap_or_default(),
                sharing: self.sharing.unwrap_or(Sharing::Shared),
                access: self.access.unwrap_or(Access::ReadWrite),
                mode: self.mode.unwrap_or(0o755),
                uid: self.uid.unwrap_or(0),
                gid: self.gid.unwrap_or(0),
            },
            "tmpfs" => Kind::Tmpfs { size: self.size },
            "secret" => Kind::Secret {
                id: secret,
                need: self.need.unwrap_or(Need::Optional),
                shown: Shown {
                    file: self.variable.is_none() || has_target,
                    variable: self.variable,
                },
                mode: self.mode.unwrap_or(0o400),
                uid: self.uid.unwrap_or(0),
                gid: self.gid.unwrap_or(0),
            },
            other => {
                return Err(refuse(
                    line,
                    format!("--mount=type={other} is not known"),
                    "the types are bind, cache, tmpfs and secret",
                ));
            }
        };
        Ok(Mount { line, target, kind })
    }

    /// Returns the name under which a secret is given: its source or id, else that of its target.
    fn secret_id(&self) -> String {
        let names = [self.source.as_deref(), self.id.as_deref()];
        let name = names.into_iter().flatten().find(|name| !name.is_empty());
        let name = name.or_else(|| self.target.as_deref().map(base_name));
        name.unwrap_or_default().to_owned()
    }
}

fn base_name(path: &str) -> &str {
    path.trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or(path)
}

/// Reads a size such as `64m`.
fn bytes(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let digits = lower
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let shift = match unit.trim_start() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(text: &str) -> Result<Mount, Refusal> {
        read(text, 3, "/w", |value| Ok(value.replace("$X", "x")))
    }

    #[test]
    fn mounts_are_understood() {
        let bind = mount("target=t,from=s,source=a/$X").unwrap();
        assert_eq!((bind.line, bind.target.as_str()), (3, "/w/t"));
        assert_eq!(
            bind.kind,
            Kind::Bind {
                from: Some("s".to_owned()),
                source: "a/x".to_owned(),
                access: Access::ReadOnly,
            }
        );
        let Kind::Cache { id, mode, .. } = mount("type=cache,target=/c,mode=0700").unwrap().kind
        else {
            panic!("no cache");
        };
        assert_eq!((id.as_str(), mode), ("/c", 0o700));
        assert_eq!(
            mount("type=tmpfs,target=/t,size=64m").unwrap().kind,
            Kind::Tmpfs {
                size: Some(64 << 20)
            }
        );
        for (text, id, target) in [
            ("id=key", "key", "/run/secrets/key"),
            ("id=a/key", "a/key", "/run/secrets/key"),
            ("source=a/key", "a/key", "/run/secrets/key"),
            ("target=/s/key", "key", "/s/key"),
            ("id=x,target=key", "x", "/w/key"),
        ] {
            let secret = mount(&format!("type=secret,{text}")).unwrap();
            let Kind::Secret { id: named, .. } = &secret.kind else {
                panic!("no secret");
            };
            assert_eq!((named.as_str(), secret.target.as_str()), (id, target));
        }
        for text in ["type=bind,from=x", "from=y,FROM=x,type=bind"] {
            assert_eq!(from_of(text).as_deref(), Some("x"), "{text}");
            let Kind::Bind { from, .. } = mount(&format!("{text},target=/x")).unwrap().kind else {
                panic!("no bind");
            };
            assert_eq!(
                from.as_deref(),
                Some("x"),
                "what is planned is what is mounted: {text}"
            );
        }
    }

    #[test]
    fn mistakes_are_refused() {
        let ssh = mount("type=ssh").expect_err("it needs no target");
        assert!(ssh.reason.contains("type=ssh"), "{}", ssh.reason);
        for text in [
            "type=ssh",
            "type=x,target=/a",
            "target=/",
            "type=cache",
            "target=/a,foo=1",
            "target=/a,foo",
            "type=cache,target=/a,sharing=x",
            "target=/a,rw=maybe",
            "type=cache,target=/a,uid=x",
            "type=secret",
            "type=secret,env=X",
            "type=secret,id=x,source=y",
        ] {
            let refusal = mount(text).expect_err(text);
            assert_eq!(refusal.line, 3);
            assert!(!refusal.instead.is_empty());
        }
    }
}
