//! What a step's mounts become: volumes that are filled, caches, memory, and what the program in the container does
//! itself.
//!
//! Files are never mounted from this machine: their owners could not be what they should be, and the engine may be on
//! another one. A file that is mounted by itself is a part of a volume where the engine can do that, else the program in
//! the container copies it; a secret is a link into memory.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::Path,
};

use assembler::{instruction::Access, sandbox::SandboxError};
use layer::{Entry, LayerItem, LayerPath, tar::LayerWriter};
use tokio::fs::File;

use super::super::{
    Docker,
    volumes::{FILL, Fill, VolumeMount, Volumes},
};
use crate::engine::step::{
    files::Nonce,
    filling::{Archive, Filling, archive},
    inside::{Inside, Placed},
    mounts::{Shown, ShownKind, StepMounts},
};

/// Since which version of the interface a part of a volume can be mounted.
const PARTS: (usize, usize) = (1, 45);

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
    /// Where the archive is while it is written.
    pub(super) scratch: &'a Path,
    /// Tells this step's volumes and places from all others.
    pub(super) nonce: &'a Nonce,
}

impl Maker<'_> {
    /// Decides what becomes of each mount; nothing is made in the engine yet.
    pub(super) fn make(&self, mounts: StepMounts<'_>) -> Result<Mounts, SandboxError> {
        let mut made = Mounts {
            inside: mounts.inside,
            locks: mounts.locks,
            ..Mounts::default()
        };
        let mut fillings = Vec::new();
        for Shown {
            number,
            target,
            kind,
        } in mounts.shown
        {
            match kind {
                ShownKind::Files {
                    filling,
                    file,
                    access,
                } => {
                    let volume = format!("aicage-step-{}-{number}", self.nonce.text());
                    made.volumes.own.push(volume.clone());
                    fillings.push((volume.clone(), filling));
                    let mount = VolumeMount {
                        volume,
                        target,
                        part: file.map(str::to_owned),
                        read_only: access == Access::ReadOnly,
                    };
                    self.bind(mount, number, &mut made);
                }
                ShownKind::Cache {
                    name,
                    id,
                    new,
                    access,
                } => {
                    made.volumes.caches.insert(name.clone(), id.to_owned());
                    if let Some((new, filling)) = new {
                        made.volumes.new.push(new);
                        fillings.push((name.clone(), filling));
                    }
                    made.mounted.push(VolumeMount {
                        volume: name,
                        target,
                        part: None,
                        read_only: access == Access::ReadOnly,
                    });
                }
                ShownKind::Memory { size } => {
                    let size = size.map(|size| format!(",size={size}")).unwrap_or_default();
                    let options = format!("rw,exec,nosuid,mode=1777{size}");
                    made.memory.insert(target, self.memory(options));
                }
                ShownKind::Secrets => {
                    let options = "rw,noexec,nosuid,nodev,mode=0755".to_owned();
                    made.memory.insert(target, self.memory(options));
                }
            }
        }
        if !fillings.is_empty() {
            made.volumes.fill = Some(self.fill(&fillings)?);
        }
        Ok(made)
    }

    /// Completes the options of a directory in memory.
    fn memory(&self, mut options: String) -> String {
        if self.docker.info().is_podman() {
            // It would copy what the image has there.
            options.push_str(",notmpcopyup");
        }
        options
    }

    fn bind(&self, mut mount: VolumeMount, number: usize, made: &mut Mounts) {
        let info = self.docker.info();
        if let Some(file) = &mount.part
            && (info.is_podman() || info.api < PARTS)
        {
            let aside = format!("{}-{number}", self.nonce.directory());
            made.inside.placed.push(Placed {
                from: format!("{aside}/{file}"),
                target: std::mem::replace(&mut mount.target, aside),
                copy: true,
            });
            mount.part = None;
        }
        made.mounted.push(mount);
    }

    fn fill(&self, fillings: &[(String, Filling<'_>)]) -> Result<Fill, SandboxError> {
        let filled = || {
            let mut fill = Fill {
                volumes: fillings.iter().map(|(volume, _)| volume.clone()).collect(),
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
            for (number, (volume, one)) in fillings.iter().enumerate() {
                let root = one.root()?;
                fill.owners.insert(volume.clone(), (root.uid, root.gid));
                let archive = self.archive(|writer| one.write(writer, &LayerPath::root()))?;
                fill.archives.push((format!("/{FILL}/{number}"), archive));
            }
            Ok(fill)
        };
        filled().map_err(|error| self.host(error))
    }

    fn archive(&self, write: impl FnOnce(&mut Archive<'_>) -> io::Result<()>) -> io::Result<File> {
        let file = archive(self.scratch, write)?;
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
fn all<W: Write>(
    writer: &mut LayerWriter<W>,
    fillings: &[(String, Filling<'_>)],
) -> io::Result<()> {
    let path = |text: &str| LayerPath::new(text).map_err(io::Error::other);
    let top = LayerItem::Entry(Entry::directory(path(FILL)?, 0o755));
    writer.append(&top, io::empty()).map_err(io::Error::other)?;
    // The tar is written in the order of names, in which 10 comes before 2.
    let mut numbered: Vec<(String, &Filling<'_>)> = fillings
        .iter()
        .enumerate()
        .map(|(number, (_, filling))| (format!("{FILL}/{number}"), filling))
        .collect();
    numbered.sort_by(|one, other| one.0.cmp(&other.0));
    for (prefix, filling) in numbered {
        filling.write(writer, &path(&prefix)?)?;
    }
    Ok(())
}
