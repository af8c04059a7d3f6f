//! Volumes of steps: made, filled and removed with a step, and caches, which stay.
//!
//! A volume is filled through the engine, by a container that is made for it and never started: that keeps owners and
//! modes whoever we are, and works wherever the engine is. Invariant: a volume of a step carries the label of its owner
//! and is removed with the step; only `kill -9` leaves one, which the next sweep removes.

use std::{collections::BTreeMap, io};

use bollard::{
    models::{
        ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions, VolumeCreateRequest,
    },
    query_parameters::{
        ListVolumesOptionsBuilder, RemoveVolumeOptions, UploadToContainerOptionsBuilder,
    },
};
use tokio::fs::File;
use tokio_util::{io::ReaderStream, sync::CancellationToken};

use super::{
    Docker,
    error::{EngineError, is_missing},
    owner::Owner,
    throwaway::LABEL,
};
use crate::engine::step::caches::NewCache;

/// The label by which caches are known; its value is what the cache is called.
pub(crate) const CACHE_LABEL: &str = "io.github.aicage.cache";
/// Below which directory volumes are while they are filled.
pub(crate) const FILL: &str = ".aicage-fill";

/// A volume, seen in a container.
#[derive(Clone, Debug)]
pub(crate) struct VolumeMount {
    pub(crate) volume: String,
    pub(crate) target: String,
    /// A file or directory in it, instead of the whole.
    pub(crate) part: Option<String>,
    pub(crate) read_only: bool,
}

/// The volumes of a step.
#[derive(Debug, Default)]
pub(crate) struct Volumes {
    /// Removed with the step.
    pub(crate) own: Vec<String>,
    /// Made if they are not there, and kept: name and what they are called.
    pub(crate) caches: BTreeMap<String, String>,
    /// Of these, those that are to be filled first.
    pub(crate) new: Vec<NewCache>,
    /// What is put into volumes first.
    pub(crate) fill: Option<Fill>,
}

/// What is put into volumes. While they are filled, each is at `/.aicage-fill/<its number>`.
#[derive(Debug)]
pub(crate) struct Fill {
    /// The volumes, in the order of their numbers.
    pub(crate) volumes: Vec<String>,
    /// Tars, and where they are unpacked.
    pub(crate) archives: Vec<(String, File)>,
    /// Whose the volumes themselves are, where the engine has to be told.
    pub(crate) owners: BTreeMap<String, (u64, u64)>,
}

/// It will not be whole: the next step is to find nothing.
async fn give_up(cache: NewCache, docker: &Docker) {
    // If this fails, the mark says the same.
    if docker.remove_volume(&cache.volume).await.is_ok() {
        fs_err::remove_file(&cache.mark).unwrap_or_default();
    }
}

impl VolumeMount {
    pub(crate) fn spell(&self) -> Mount {
        Mount {
            typ: Some(MountType::VOLUME),
            source: Some(self.volume.clone()),
            target: Some(self.target.clone()),
            read_only: Some(self.read_only),
            volume_options: Some(MountVolumeOptions {
                // Else the image's files at that place would be copied into a new volume.
                no_copy: Some(true),
                subpath: self.part.clone(),
                ..MountVolumeOptions::default()
            }),
            ..Mount::default()
        }
    }
}

impl Volumes {
    /// Makes the volumes and fills them; a cache that was not filled is gone again.
    pub(crate) async fn prepare(
        &mut self,
        docker: &Docker,
        known: (&str, &BTreeMap<String, String>),
        stop: &CancellationToken,
    ) -> Result<(), EngineError> {
        let new = std::mem::take(&mut self.new);
        if let Err(error) = self.make_and_fill(docker, known, stop).await {
            for cache in new {
                give_up(cache, docker).await;
            }
            return Err(error);
        }
        for cache in new {
            let kept = tokio::task::spawn_blocking(move || cache.keep()).await;
            let kept = kept.map_err(io::Error::from).and_then(|kept| kept);
            kept.map_err(EngineError::host("note that a cache is filled"))?;
        }
        Ok(())
    }

    async fn make_and_fill(
        &mut self,
        docker: &Docker,
        (image, labels): (&str, &BTreeMap<String, String>),
        stop: &CancellationToken,
    ) -> Result<(), EngineError> {
        let fill = self.fill.take();
        let owner = |name: &String| fill.as_ref()?.owners.get(name).copied();
        for name in &self.own {
            create(docker, (name, owner(name)), labels.clone()).await?;
        }
        for (name, id) in &self.caches {
            let label = (CACHE_LABEL.to_owned(), id.clone());
            create(docker, (name, owner(name)), [label].into()).await?;
        }
        let Some(fill) = fill else {
            return Ok(());
        };
        let mounts = fill
            .volumes
            .into_iter()
            .enumerate()
            .map(|(number, volume)| {
                let mount = VolumeMount {
                    volume,
                    target: format!("/{FILL}/{number}"),
                    part: None,
                    read_only: false,
                };
                mount.spell()
            });
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            entrypoint: Some(vec!["/never-started".to_owned()]),
            cmd: Some(Vec::new()),
            labels: Some(labels.clone().into_iter().collect()),
            network_disabled: Some(true),
            host_config: Some(HostConfig {
                mounts: Some(mounts.collect()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let id = docker.create_container(None, body).await?;
        let filled = tokio::select! {
            biased;
            () = stop.cancelled() => Err(EngineError::Interrupted),
            done = async {
                for (place, archive) in fill.archives {
                    docker.upload(&id, &place, archive).await?;
                }
                Ok(())
            } => done,
        };
        let removed = docker.remove_container(&id).await;
        EngineError::and_removed(&id, filled, removed)
    }

    /// Removes what is the step's own.
    pub(crate) async fn remove(&self, docker: &Docker) -> Result<(), EngineError> {
        let mut outcome = Ok(());
        for name in &self.own {
            outcome = outcome.and(docker.remove_volume(name).await);
        }
        outcome
    }
}

async fn create(
    docker: &Docker,
    (name, owner): (&str, Option<(u64, u64)>),
    labels: BTreeMap<String, String>,
) -> Result<(), EngineError> {
    let owner = owner.map(|(uid, gid)| ("o".to_owned(), format!("uid={uid},gid={gid}")));
    let request = VolumeCreateRequest {
        name: Some(name.to_owned()),
        driver_opts: owner.map(|option| [option].into()),
        labels: Some(labels.into_iter().collect()),
        ..VolumeCreateRequest::default()
    };
    let created = docker.client.create_volume(request).await;
    created
        .map(drop)
        .map_err(|error| EngineError::call("create a volume", error))
}

impl Docker {
    /// Unpacks a tar at a place in a container.
    pub(crate) async fn upload(
        &self,
        id: &str,
        place: &str,
        archive: File,
    ) -> Result<(), EngineError> {
        let options = UploadToContainerOptionsBuilder::new().path(place).build();
        let body = bollard::body_try_stream(ReaderStream::with_capacity(archive, 1 << 18));
        // All of it may take longer than an answer usually does.
        let sent = self
            .patient
            .upload_to_container(id, Some(options), body)
            .await;
        sent.map_err(|error| EngineError::call("take the files of the step", error))
    }

    /// Tells whether there is a volume of this name.
    pub(crate) async fn has_volume(&self, name: &str) -> Result<bool, EngineError> {
        match self.client.inspect_volume(name).await {
            Ok(_) => Ok(true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(EngineError::call("look for a volume", error)),
        }
    }

    /// Removes a volume; one that is not there is no error.
    pub(crate) async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        match self
            .client
            .remove_volume(name, None::<RemoveVolumeOptions>)
            .await
        {
            Ok(()) => Ok(()),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(EngineError::call("remove a volume", error)),
        }
    }

    /// Lists the volumes with a label: name and the label's value.
    pub(crate) async fn volumes(&self, label: &str) -> Result<Vec<(String, String)>, EngineError> {
        let filter = [("label".to_owned(), vec![label.to_owned()])]
            .into_iter()
            .collect();
        let options = ListVolumesOptionsBuilder::new().filters(&filter).build();
        let listed = self.client.list_volumes(Some(options)).await;
        let listed = listed.map_err(|error| EngineError::call("list its volumes", error))?;
        let volumes = listed.volumes.unwrap_or_default().into_iter();
        let mut found: Vec<(String, String)> = volumes
            .filter_map(|mut volume| Some((volume.name, volume.labels.remove(label)?)))
            .collect();
        found.sort();
        Ok(found)
    }

    /// Lists the caches of `RUN --mount=type=cache`: the volume and what it is called.
    pub async fn caches(&self) -> Result<Vec<(String, String)>, EngineError> {
        self.volumes(CACHE_LABEL).await
    }

    /// Removes a cache; one that a build uses stays, and the answer is `false`.
    pub async fn remove_cache(&self, volume: &str) -> Result<bool, EngineError> {
        match self
            .client
            .remove_volume(volume, None::<RemoveVolumeOptions>)
            .await
        {
            Ok(()) => Ok(true),
            Err(error) if is_missing(&error) => Ok(true),
            Err(bollard::errors::Error::DockerResponseServerError {
                status_code: 409, ..
            }) => Ok(false),
            Err(error) => Err(EngineError::call("remove a volume", error)),
        }
    }
}

/// Removes the volumes of runs of ours that are no more.
pub(crate) async fn sweep(docker: &Docker) -> Result<(), EngineError> {
    for (name, owner) in docker.volumes(LABEL).await? {
        if Owner::parse(&owner).is_some_and(|owner| owner.is_gone()) {
            // Another run may be sweeping too.
            docker.remove_volume(&name).await.unwrap_or_default();
        }
    }
    Ok(())
}
