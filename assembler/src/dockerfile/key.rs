//! Keys of groups: the hash of everything that decides what a group gives.
//!
//! Hashed, each with its length before it: the format; the layers below by their chain id; the platform; the contributor;
//! the clamp of times; the network; each mount with what it shows; each instruction with every variable expanded.
//! Of the build context count the names, modes, link targets and contents of what is copied or mounted, not the times. Of
//! a stage or an image that is copied or mounted from counts its chain id. Of a secret counts its id, of a cache its
//! name. Proxies given as build arguments do not count, unless an `ARG` names them.

use std::collections::BTreeMap;

use super::{
    build::Walk,
    context::{BuildContext, ContextKind},
    copies::PlannedCopy,
    groups::{Doing, Group},
    ignore::Ignore,
    mount::{Kind, Mount},
    script::{Archives, Refusal},
    stages::{Base, Stages},
    tree::{Found, Tree, below_of},
};
use crate::{
    digest::{Hasher, LayerKey},
    image::Image,
    recipe::field,
};

/// Raised when groups are run or captured differently, or give another config.
pub(crate) const FORMAT: &str = "aicage dockerfile 2";

/// Computes a group's key; nothing when a stage that it needs is not known.
pub(crate) fn group_key(
    walk: &Walk<'_>,
    (stages, stage, group): (&Stages<'_>, usize, &Group),
    (images, below): (&BTreeMap<Base, Image>, &Image),
) -> Result<Option<LayerKey>, Refusal> {
    let mut fields = Fields(Hasher::sha256());
    fields.put(FORMAT);
    fields.put(&chain(below));
    fields.put(&below.platform().to_string());
    fields.put(&walk.origin.to_string());
    fields.put(&format!("{:?}", walk.source_date));
    fields.put(&format!("{:?}", group.network));
    let context = Tree::Context(walk.build.context.opened());
    for mount in &group.mounts {
        let from = match from_of(mount) {
            None => None,
            Some(from) => {
                let base = stages.source(from, stage, mount.line)?;
                match images.get(&base) {
                    Some(image) => Some(chain(image)),
                    None => return Ok(None),
                }
            }
        };
        fields.mount(
            mount,
            from.as_deref(),
            (walk.build.context.opened(), &context),
        );
    }
    for operation in &group.operations {
        match &operation.what {
            Doing::Run {
                argv,
                env,
                user,
                directory,
            } => {
                fields.put("run");
                fields.list(argv.iter());
                fields.list(env.iter().flat_map(|(name, value)| [name, value]));
                fields.put(user.as_deref().unwrap_or_default());
                fields.put(directory);
            }
            Doing::Directory { path, owner } => {
                fields.put("directory");
                fields.put(path);
                fields.put(owner.as_deref().unwrap_or_default());
            }
            Doing::Copy(copy) => {
                let from = match &copy.from {
                    None => None,
                    Some(base) => match images.get(base) {
                        Some(image) => Some(chain(image)),
                        None => return Ok(None),
                    },
                };
                fields.copy(
                    copy,
                    from.as_deref(),
                    (walk.build.context.opened(), &context),
                );
            }
        }
    }
    Ok(Some(LayerKey::new(fields.0.finish())))
}

fn from_of(mount: &Mount) -> Option<&str> {
    match &mount.kind {
        Kind::Bind { from, .. } | Kind::Cache { from, .. } => from.as_deref(),
        _ => None,
    }
}

fn chain(image: &Image) -> String {
    image
        .chain_id()
        .map(|chain| chain.to_string())
        .unwrap_or_default()
}

struct Fields(Hasher);

impl Fields {
    fn put(&mut self, text: &str) {
        field(&mut self.0, text.as_bytes());
    }

    fn list<'t>(&mut self, texts: impl Iterator<Item = &'t String>) {
        let texts: Vec<&String> = texts.collect();
        self.put(&texts.len().to_string());
        for text in texts {
            self.put(text);
        }
    }

    fn mount(&mut self, mount: &Mount, from: Option<&str>, context: (&BuildContext, &Tree<'_>)) {
        self.put("mount");
        self.put(&mount.target);
        match &mount.kind {
            Kind::Bind { source, access, .. } => {
                self.put("bind");
                self.put(&format!("{access:?}"));
                self.source(source, from, (context, &Ignore::default()));
            }
            Kind::Cache {
                id,
                source,
                mode,
                uid,
                gid,
                access,
                ..
            } => {
                self.put("cache");
                self.put(id);
                self.put(&format!("{access:?} {mode} {uid} {gid}"));
                if from.is_some() {
                    self.source(source, from, (context, &Ignore::default()));
                }
            }
            Kind::Tmpfs { size } => self.put(&format!("tmpfs {size:?}")),
            Kind::Secret {
                id,
                shown,
                mode,
                uid,
                gid,
                ..
            } => {
                self.put("secret");
                self.put(id);
                self.put(&format!("{} {:?}", shown.file, shown.variable));
                self.put(&format!("{mode} {uid} {gid}"));
            }
            Kind::Document { name, content } => {
                self.put("document");
                self.put(name);
                self.put(content);
            }
        }
    }

    fn copy(
        &mut self,
        copy: &PlannedCopy,
        from: Option<&str>,
        context: (&BuildContext, &Tree<'_>),
    ) {
        self.put(match copy.archives {
            Archives::Unpack => "add",
            Archives::Copy => "copy",
        });
        self.put(&copy.to);
        self.put(copy.owner.as_deref().unwrap_or_default());
        self.put(&copy.mode_text);
        if from.is_some() {
            self.list(copy.exclude_text.iter());
        }
        self.put(&copy.sources.len().to_string());
        for source in &copy.sources {
            self.source(source, from, (context, &copy.exclude));
        }
        for (name, content) in &copy.documents {
            self.put(name);
            self.put(content);
        }
    }

    /// Adds what a source names: of the build context the files, of an image its layers.
    fn source(
        &mut self,
        source: &str,
        from: Option<&str>,
        (context, exclude): ((&BuildContext, &Tree<'_>), &Ignore),
    ) {
        if let Some(from) = from {
            self.put(source);
            self.put(from);
            return;
        }
        let (context, tree) = context;
        for Found { called, real } in tree.find(source).unwrap_or_default() {
            self.put("found");
            field(&mut self.0, called.base_name());
            for path in tree.below(&real) {
                let Some(entry) = context.get(&path) else {
                    continue;
                };
                let below = below_of(&path, &real);
                if !below.is_empty() && exclude.leaves_out(below) {
                    continue;
                }
                field(&mut self.0, below);
                self.put(&format!("{:o}", entry.mode));
                match &entry.kind {
                    ContextKind::File { digest, .. } => self.put(&digest.to_string()),
                    ContextKind::Directory => self.put("directory"),
                    ContextKind::Symlink(target) => field(&mut self.0, target),
                }
            }
        }
    }
}
