//! Makes a group's layer: gathers what it copies and mounts, and has its instructions carried out in a container.
//!
//! Invariant: what a container is given is plain bytes; no file of the host is named to it.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
};

use fs_err as fs;
use layer::{Entry, LayerItem, LayerPath, tar::LayerWriter};
use tempfile::TempPath;

use super::{
    DockerfileError,
    build::At,
    bundle::{self, Bundle, Parents},
    error::TreeError,
    groups::{Doing, Operation},
    ignore::Ignore,
    mount::{Kind, Mount, Need},
    script::{Refusal, refuse},
    stages::Base,
    tree::{Found, Shelf, Tree},
};
use crate::{
    image::Image,
    instruction::{Access, Action, Instruction, MountKind, Secret, StepMount, TarSource},
};

/// The largest secret, as Docker has it.
const SECRET_LIMIT: u64 = 500 << 10;
/// When a file of ours was last changed: never.
const NEVER: i64 = 0;

/// What a container is to do, and the files that it needs for as long as it runs.
#[derive(Default)]
pub(crate) struct Prepared {
    pub(crate) instructions: Vec<Instruction>,
    pub(crate) mounts: Vec<StepMount>,
    files: Vec<TempPath>,
}

/// Gathers everything that a group needs.
pub(crate) fn prepare(shelf: Shelf<'_>, at: &At<'_>) -> Result<Prepared, DockerfileError> {
    let mut maker = Maker {
        shelf,
        at,
        trees: BTreeMap::new(),
        prepared: Prepared::default(),
    };
    for mount in &at.group.mounts {
        maker.mount(mount)?;
    }
    for operation in &at.group.operations {
        maker.operation(operation)?;
    }
    Ok(maker.prepared)
}

/// Refuses what is copied from images and is not there, before anything runs. What stages will have is not known then.
pub(crate) fn check_images(shelf: Shelf<'_>, at: &At<'_>) -> Result<(), DockerfileError> {
    let mut trees = BTreeMap::new();
    let groups = at.planned.values().flat_map(|stage| &stage.groups);
    for operation in groups.flat_map(|group| &group.operations) {
        let Doing::Copy(copy) = &operation.what else {
            continue;
        };
        let Some(base @ Base::Image(_)) = &copy.from else {
            continue;
        };
        let tree = tree_of(shelf, at, Some(base), &mut trees)?;
        for source in &copy.sources {
            tree.find(source)
                .map_err(|gone| at.missing(&gone, operation.line))?;
        }
    }
    Ok(())
}

pub(crate) struct Maker<'a> {
    pub(crate) shelf: Shelf<'a>,
    pub(crate) at: &'a At<'a>,
    pub(crate) trees: BTreeMap<Base, Tree<'a>>,
    prepared: Prepared,
}

impl Maker<'_> {
    fn operation(&mut self, operation: &Operation) -> Result<(), DockerfileError> {
        let file = &self.at.build.file;
        let label = format!("{} ({file} line {})", operation.summary, operation.line);
        match &operation.what {
            Doing::Run {
                argv,
                env,
                user,
                directory,
            } => {
                let mut env = env.clone();
                for (name, value) in proxies(&self.at.build.args) {
                    env.entry(name).or_insert(value);
                }
                env.extend(self.secret_variables()?);
                self.push(
                    &label,
                    Action::Run {
                        argv: argv.clone(),
                        env,
                        user: user.clone(),
                        directory: directory.clone(),
                    },
                );
            }
            Doing::Directory { path, owner } => self.push(
                &label,
                Action::Directory {
                    path: path.clone(),
                    owner: owner.clone(),
                },
            ),
            Doing::Copy(copy) => self.copy(copy, operation.line, &label)?,
        }
        Ok(())
    }

    pub(crate) fn push(&mut self, label: &str, action: Action) {
        self.prepared.instructions.push(Instruction {
            label: label.to_owned(),
            action,
        });
    }

    pub(crate) fn keep(&mut self, tar: TempPath) -> TarSource {
        let source = TarSource::File(tar.to_path_buf());
        self.prepared.files.push(tar);
        source
    }

    fn mount(&mut self, mount: &Mount) -> Result<(), DockerfileError> {
        let line = self
            .at
            .group
            .operations
            .first()
            .map_or(1, |first| first.line);
        let kind = match &mount.kind {
            Kind::Bind {
                from,
                source,
                access,
            } => {
                let (tar, file) = self.tree_tar((from.as_deref(), source), line)?;
                MountKind::Bind {
                    tar,
                    file,
                    access: *access,
                }
            }
            Kind::Cache {
                id,
                from,
                source,
                sharing,
                access,
                mode,
                uid,
                gid,
            } => {
                let seed = match from {
                    Some(from) => Some(self.tree_tar((Some(from), source), line)?.0),
                    None => None,
                };
                MountKind::Cache {
                    id: id.clone(),
                    sharing: *sharing,
                    access: *access,
                    mode: *mode,
                    uid: *uid,
                    gid: *gid,
                    seed,
                }
            }
            Kind::Tmpfs { size } => MountKind::Tmpfs { size: *size },
            Kind::Secret {
                id,
                need,
                shown,
                mode,
                uid,
                gid,
            } => match self.secret(id)? {
                Some(_) if !shown.file => return Ok(()),
                Some(content) => MountKind::Secret {
                    content,
                    mode: *mode,
                    uid: *uid,
                    gid: *gid,
                },
                None if *need == Need::Optional => return Ok(()),
                None => {
                    return Err(self.at.refused(refuse(
                        line,
                        format!("the secret `{id}` is required and not given"),
                        "give it, or take `required` away",
                    )));
                }
            },
            Kind::Document { name, content } => self.document((name, content), line)?,
        };
        self.prepared.mounts.push(StepMount {
            target: mount.target.clone(),
            kind,
        });
        Ok(())
    }

    fn document(
        &mut self,
        document: (&str, &str),
        line: usize,
    ) -> Result<MountKind, DockerfileError> {
        let tar = document_tar(self.shelf, document, 0o755)
            .map_err(|source| self.at.failed(line, source))?;
        Ok(MountKind::Bind {
            tar: self.keep(tar),
            file: None,
            access: Access::ReadOnly,
        })
    }

    /// Writes what a mount shows; with the file's name, if it is one.
    fn tree_tar(
        &mut self,
        (from, source): (Option<&str>, &str),
        line: usize,
    ) -> Result<(TarSource, Option<String>), DockerfileError> {
        let at = self.at;
        let base = match from {
            None => None,
            Some(from) => Some(
                at.stages
                    .source(from, at.stage, line)
                    .map_err(|refusal| at.refused(refusal))?,
            ),
        };
        let tree = tree_of(self.shelf, at, base.as_ref(), &mut self.trees)?;
        let real = tree.resolve(source.as_bytes()).ok_or_else(|| {
            at.refused(refuse(
                line,
                format!("there is no `{source}` where it is mounted from"),
                "name a file or directory that is there",
            ))
        })?;
        let file = (!tree.is_directory(&real))
            .then(|| String::from_utf8_lossy(real.base_name()).into_owned());
        let found = Found {
            called: real.clone(),
            real,
        };
        let bundle = Bundle::of(tree, &found, &Ignore::default());
        let mut tars = bundle::tars((self.shelf, tree), &[bundle], None)
            .map_err(|source| at.failed(line, source))?;
        let tar = tars.pop().expect("one bundle gives one tar");
        Ok((self.keep(tar), file))
    }

    /// Returns the secrets that commands get as variables.
    fn secret_variables(&self) -> Result<BTreeMap<String, String>, DockerfileError> {
        let mut variables = BTreeMap::new();
        for mount in &self.at.group.mounts {
            if let Kind::Secret { id, shown, .. } = &mount.kind
                && let Some(name) = &shown.variable
                && let Some(content) = self.secret(id)?
            {
                let value = String::from_utf8_lossy(content.expose()).into_owned();
                variables.insert(name.clone(), value);
            }
        }
        Ok(variables)
    }

    fn secret(&self, id: &str) -> Result<Option<Secret>, DockerfileError> {
        let Some(path) = self.at.build.secrets.get(id) else {
            return Ok(None);
        };
        let failed = |source| DockerfileError::Secret {
            id: id.to_owned(),
            path: path.clone(),
            source,
        };
        let mut content = Vec::new();
        fs::File::open(path)
            .map_err(failed)?
            .take(SECRET_LIMIT + 1)
            .read_to_end(&mut content)
            .map_err(failed)?;
        if content.len() as u64 > SECRET_LIMIT {
            return Err(failed(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "a secret has at most 500 KiB",
            )));
        }
        Ok(Some(Secret::new(content)))
    }
}

impl At<'_> {
    pub(crate) fn failed(&self, line: usize, source: TreeError) -> DockerfileError {
        DockerfileError::Copy {
            file: self.build.file.clone(),
            line,
            source,
        }
    }

    fn refused(&self, refusal: Refusal) -> DockerfileError {
        self.build.refused(refusal)
    }

    pub(crate) fn missing(&self, source: &str, line: usize) -> DockerfileError {
        self.refused(refuse(
            line,
            format!("there is no `{source}` where it is copied from"),
            "name a file that the stage or image has",
        ))
    }
}

/// Opens a tree once.
pub(crate) fn tree_of<'t, 'a>(
    shelf: Shelf<'a>,
    at: &'a At<'a>,
    base: Option<&Base>,
    trees: &'t mut BTreeMap<Base, Tree<'a>>,
) -> Result<&'t Tree<'a>, DockerfileError> {
    // The build context is no base; it is kept under the one that nobody copies from.
    let key = base.cloned().unwrap_or(Base::SoFar);
    if !trees.contains_key(&key) {
        let tree = match base {
            None => Tree::Context(at.build.context.opened()),
            Some(base) => {
                let image: &'a Image = at.images.get(base).expect("the group has a key");
                Tree::of_image(shelf, image)?
            }
        };
        trees.insert(key.clone(), tree);
    }
    Ok(trees.get(&key).expect("it was put there just now"))
}

/// Writes a tar of one file below a directory.
pub(crate) fn document_tar(
    shelf: Shelf<'_>,
    (name, content): (&str, &str),
    mode: u32,
) -> Result<TempPath, TreeError> {
    let (file, path) = shelf.file()?;
    let mut writer = LayerWriter::new(io::BufWriter::new(file));
    let name = LayerPath::new(name.trim_start_matches('/')).unwrap_or_default();
    let mut entry = Entry::file(name, mode, content.len() as u64);
    entry.mtime = NEVER;
    Parents::default().lead_to(&entry, &mut writer)?;
    writer.append(&LayerItem::Entry(entry), content.as_bytes())?;
    writer.finish()?.flush()?;
    Ok(path)
}

/// Returns the proxies among build arguments, in both spellings; they need no `ARG`.
fn proxies(args: &BTreeMap<String, String>) -> Vec<(String, String)> {
    const NAMES: [&str; 5] = [
        "http_proxy",
        "https_proxy",
        "ftp_proxy",
        "no_proxy",
        "all_proxy",
    ];
    args.iter()
        .filter(|(name, _)| NAMES.contains(&name.to_ascii_lowercase().as_str()))
        .flat_map(|(name, value)| {
            [
                (name.to_ascii_lowercase(), value.clone()),
                (name.to_ascii_uppercase(), value.clone()),
            ]
        })
        .collect()
}
