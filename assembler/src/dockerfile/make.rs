//! Makes a group's layer: gathers what it copies and mounts, and has its instructions carried out in a container.
//!
//! Invariant: what a container is given is plain bytes; no file of the host is named to it.

use std::collections::BTreeMap;

use tempfile::TempPath;

use super::{
    DockerfileError,
    build::At,
    bundle::{self, Bundle},
    error::TreeError,
    groups::{Doing, Operation},
    ignore::Ignore,
    make_copy::document_tar,
    mount::{Kind, Mount},
    script::{Refusal, refuse},
    stages::Base,
    tree::{Found, Shelf, Tree},
};
use crate::{
    image::Image,
    instruction::{Access, Action, Instruction, MountKind, Secret, StepMount, TarSource},
};

/// What a container is to do, and the files that it needs for as long as it runs.
#[derive(Default)]
pub(crate) struct Prepared {
    pub(crate) instructions: Vec<Instruction>,
    pub(crate) mounts: Vec<StepMount>,
    /// Variables of all commands.
    pub(crate) secrets: BTreeMap<String, Secret>,
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
    maker.prepared.secrets = at.build.secret_variables(at.group)?;
    for operation in &at.group.operations {
        maker.operation(operation)?;
    }
    Ok(maker.prepared)
}

/// Refuses what is copied or mounted from images and is not there, before anything runs. What stages will have is not
/// known then.
pub(crate) fn check_images(shelf: Shelf<'_>, at: &At<'_>) -> Result<(), DockerfileError> {
    let mut trees = BTreeMap::new();
    for (stage, planned) in at.planned {
        for group in &planned.groups {
            for mount in &group.mounts {
                let (Kind::Bind { from, source, .. } | Kind::Cache { from, source, .. }) =
                    &mount.kind
                else {
                    continue;
                };
                let from = at.mounted_from(from.as_deref(), (*stage, mount.line))?;
                if let Some(base @ Base::Image(_)) = &from {
                    let tree = tree_of(shelf, at, Some(base), &mut trees)?;
                    if tree.resolve(source.as_bytes()).is_none() {
                        return Err(at.not_mounted(source, mount.line));
                    }
                }
            }
            for operation in &group.operations {
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
        let line = mount.line;
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
                shown,
                mode,
                uid,
                gid,
                ..
            } => match self.at.build.secret(id)? {
                Some(content) if shown.file => MountKind::Secret {
                    content,
                    mode: *mode,
                    uid: *uid,
                    gid: *gid,
                },
                _ => return Ok(()),
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
        let base = at.mounted_from(from, (at.stage, line))?;
        let tree = tree_of(self.shelf, at, base.as_ref(), &mut self.trees)?;
        let real = tree
            .resolve(source.as_bytes())
            .ok_or_else(|| at.not_mounted(source, line))?;
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
}

impl At<'_> {
    pub(crate) fn failed(&self, line: usize, source: TreeError) -> DockerfileError {
        DockerfileError::Copy {
            file: self.build.file.clone(),
            line,
            source,
        }
    }

    /// Finds what a mount of a stage is made from; nothing for the build context.
    fn mounted_from(
        &self,
        from: Option<&str>,
        (stage, line): (usize, usize),
    ) -> Result<Option<Base>, DockerfileError> {
        from.map(|from| self.stages.source(from, stage, line))
            .transpose()
            .map_err(|refusal| self.refused(refusal))
    }

    fn not_mounted(&self, source: &str, line: usize) -> DockerfileError {
        self.refused(refuse(
            line,
            format!("there is no `{source}` where it is mounted from"),
            "name a file or directory that is there",
        ))
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
