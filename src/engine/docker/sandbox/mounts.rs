//! What a step's mounts become: volumes that are filled, caches, memory, and what the program in the container does
//! itself.
//!
//! Files are never mounted from this machine: their owners could not be what they should be, and the engine may be on
//! another one. A file that is mounted by itself is a part of a volume where the engine can do that, else the program in
//! the container copies it; a secret is a link into memory.

use std::{
    collections::BTreeMap,
    io::{self, BufWriter, Seek as _, Write},
    path::PathBuf,
};

use assembler::{
    instruction::{Access, MountKind, Secret, StepMount},
    sandbox::SandboxError,
};
use layer::{Entry, LayerItem, LayerPath, PathIndex, tar::LayerWriter};
use tokio::fs::File;

use super::super::{
    Docker,
    volumes::{FILL, Fill, VolumeMount, Volumes},
};
use crate::engine::step::{
    Inside, Placed, SecretFile,
    caches::{Caches, Taken},
    filling::Filling,
};

/// Since which version of the interface a part of a volume can be mounted.
const PARTS: (usize, usize) = (1, 45);
/// Where secrets are by default; nothing else is.
const SECRETS: &str = "/run/secrets";

/// What a step's mounts come to.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    pub(super) volumes: Volumes,
    pub(super) mounted: Vec<VolumeMount>,
    /// Directories in memory, with their options.
    pub(super) memory: BTreeMap<String, String>,
    /// What the program in the container does itself.
    pub(super) inside: Inside,
    /// Held while the caches are used.
    pub(super) locks: Vec<fs_err::File>,
}

/// What mounts are made with.
pub(super) struct Maker<'a> {
    pub(super) docker: &'a Docker,
    pub(super) caches: Caches<'a>,
    /// Where the archive is while it is written.
    pub(super) scratch: PathBuf,
    /// What is in the image.
    pub(super) index: &'a PathIndex,
    /// Tells this step's volumes and places from all others.
    pub(super) unique: String,
}

impl Mounts {
    /// Adds the secrets that programs get as variables.
    pub(super) fn with_variables(mut self, variables: &BTreeMap<String, Secret>) -> Self {
        self.inside.add_variables(variables);
        self
    }
}

impl Maker<'_> {
    /// Decides what becomes of each mount; nothing is made in the engine yet.
    pub(super) fn make(&self, mounts: &[StepMount]) -> Result<Mounts, SandboxError> {
        let mut made = Mounts::default();
        let mut fillings = Vec::new();
        let mut caches = self.caches.take(mounts)?;
        for (number, mount) in mounts.iter().enumerate() {
            let target = format!("/{}", mount.target.trim_matches('/'));
            match &mount.kind {
                MountKind::Bind { tar, file, access } => {
                    let volume = format!("aicage-step-{}-{number}", self.unique);
                    made.volumes.own.push(volume.clone());
                    fillings.push(Filling {
                        volume: volume.clone(),
                        tar: Some(tar),
                        root: Entry::directory(LayerPath::root(), 0o755),
                    });
                    let mount = VolumeMount {
                        volume,
                        target,
                        part: file.clone(),
                        read_only: *access == Access::ReadOnly,
                    };
                    self.bind(mount, number, &mut made);
                }
                MountKind::Cache { .. } => {
                    fillings.extend(Self::cache((&mount.kind, target), &mut caches, &mut made));
                }
                MountKind::Tmpfs { size } => {
                    let size = size.map(|size| format!(",size={size}")).unwrap_or_default();
                    // Podman would copy what the image has there.
                    let copy = if self.docker.info().is_podman() {
                        ",notmpcopyup"
                    } else {
                        ""
                    };
                    let options = format!("rw,exec,nosuid,mode=1777{size}{copy}");
                    made.memory.insert(target, options);
                }
                MountKind::Secret {
                    content,
                    mode,
                    uid,
                    gid,
                } => {
                    let path = self.secret_place(&target, number, &mut made);
                    made.inside.secrets.push(SecretFile {
                        path,
                        size: content.expose().len() as u64,
                        mode: *mode,
                        uid: *uid,
                        gid: *gid,
                    });
                    made.inside.sealed.0.extend_from_slice(content.expose());
                }
            }
        }
        made.locks
            .extend(caches.into_values().map(|taken| taken.lock));
        if !fillings.is_empty() {
            made.volumes.fill = Some(self.fill(&fillings)?);
        }
        Ok(made)
    }

    fn bind(&self, mut mount: VolumeMount, number: usize, made: &mut Mounts) {
        let info = self.docker.info();
        if let Some(file) = &mount.part
            && (info.is_podman() || info.api < PARTS)
        {
            let aside = format!("/.aicage-{}-{number}", self.unique);
            made.inside.placed.push(Placed {
                from: format!("{aside}/{file}"),
                target: std::mem::replace(&mut mount.target, aside),
                copy: true,
            });
            mount.part = None;
        }
        made.mounted.push(mount);
    }

    /// Returns where in memory a secret is kept, and has it seen at its place.
    fn secret_place(&self, target: &str, number: usize, made: &mut Mounts) -> String {
        const OPTIONS: &str = "rw,noexec,nosuid,nodev,mode=0755";
        let copy = if self.docker.info().is_podman() {
            ",notmpcopyup"
        } else {
            ""
        };
        let options = format!("{OPTIONS}{copy}");
        let path = LayerPath::new(SECRETS.trim_start_matches('/')).expect("it is a plain path");
        let by_itself = target
            .strip_prefix(SECRETS)
            .and_then(|name| name.strip_prefix('/'))
            .is_some_and(|name| !name.contains('/') && name != "..");
        if by_itself && self.index.get(&path).is_none() {
            made.memory.insert(SECRETS.to_owned(), options);
            return target.to_owned();
        }
        let directory = format!("/.aicage-{}-secrets", self.unique);
        let place = format!("{directory}/{number}");
        made.memory.insert(directory, options);
        made.inside.placed.push(Placed {
            target: target.to_owned(),
            from: place.clone(),
            copy: false,
        });
        place
    }

    /// Shows a cache, and returns how it is filled where that is to be done.
    fn cache<'m>(
        (kind, target): (&'m MountKind, String),
        taken: &mut BTreeMap<String, Taken>,
        made: &mut Mounts,
    ) -> Option<Filling<'m>> {
        let MountKind::Cache {
            id,
            access,
            mode,
            uid,
            gid,
            seed,
            ..
        } = kind
        else {
            return None;
        };
        let taken = taken.get_mut(id)?;
        made.volumes.caches.insert(taken.volume.clone(), id.clone());
        made.mounted.push(VolumeMount {
            volume: taken.volume.clone(),
            target,
            part: None,
            read_only: *access == Access::ReadOnly,
        });
        made.volumes.new.push(taken.new.take()?);
        let mut root = Entry::directory(LayerPath::root(), *mode & 0o7777);
        (root.uid, root.gid) = (u64::from(*uid), u64::from(*gid));
        Some(Filling {
            volume: taken.volume.clone(),
            tar: seed.as_ref(),
            root,
        })
    }

    fn fill(&self, fillings: &[Filling<'_>]) -> Result<Fill, SandboxError> {
        let filled = || {
            let mut fill = Fill {
                volumes: fillings.iter().map(|one| one.volume.clone()).collect(),
                archives: Vec::new(),
                owners: BTreeMap::new(),
            };
            if !self.docker.info().is_podman() {
                let archive = self.archive(|writer| all(writer, fillings))?;
                fill.archives.push(("/".to_owned(), archive));
                return Ok(fill);
            }
            // Podman unpacks into one volume at a time, and gives it to root when it is first used unless it was told
            // whose it is.
            for (number, one) in fillings.iter().enumerate() {
                let root = one.root()?;
                fill.owners.insert(one.volume.clone(), (root.uid, root.gid));
                let archive = self.archive(|writer| one.write(writer, &LayerPath::root()))?;
                fill.archives.push((format!("/{FILL}/{number}"), archive));
            }
            Ok(fill)
        };
        filled().map_err(|error| self.host(error))
    }

    fn archive(
        &self,
        write: impl FnOnce(&mut LayerWriter<BufWriter<&mut fs_err::File>>) -> io::Result<()>,
    ) -> io::Result<File> {
        fs_err::create_dir_all(&self.scratch)?;
        let file = tempfile::tempfile_in(&self.scratch)?;
        let mut file = fs_err::File::from_parts(file, &self.scratch);
        let mut writer = LayerWriter::new(BufWriter::with_capacity(1 << 18, &mut file));
        write(&mut writer)?;
        let mut buffer = writer.finish().map_err(io::Error::other)?;
        buffer.flush()?;
        drop(buffer);
        file.rewind()?;
        Ok(File::from_std(file.into_parts().0))
    }

    fn failed(&self, error: super::super::error::EngineError) -> SandboxError {
        super::engine_failed(self.docker, error)
    }

    fn host(&self, source: io::Error) -> SandboxError {
        self.failed(super::super::error::EngineError::Host {
            what: "prepare the mounts of the step",
            source,
        })
    }
}

/// Writes the files of all volumes, each below a directory of its own.
fn all<W: Write>(writer: &mut LayerWriter<W>, fillings: &[Filling<'_>]) -> io::Result<()> {
    let path = |text: &str| LayerPath::new(text).map_err(io::Error::other);
    let top = LayerItem::Entry(Entry::directory(path(FILL)?, 0o755));
    writer.append(&top, io::empty()).map_err(io::Error::other)?;
    // The tar is written in the order of names, in which 10 comes before 2.
    let mut numbered: Vec<(String, &Filling<'_>)> = fillings
        .iter()
        .enumerate()
        .map(|(number, filling)| (format!("{FILL}/{number}"), filling))
        .collect();
    numbered.sort_by(|one, other| one.0.cmp(&other.0));
    for (prefix, filling) in numbered {
        filling.write(writer, &path(&prefix)?)?;
    }
    Ok(())
}
