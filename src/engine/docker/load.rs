//! Brings an image from our store into an engine, sending only what the engine lacks.
//!
//! The archive is streamed as the store is read, without a temporary file. Layers that the engine has are left out;
//! that it took the image is verified, not believed, because the containerd store says "Loaded image" of images that
//! cannot run. If it did not, the whole image is sent.

use std::{collections::BTreeSet, io::Read as _};

use assembler::{
    archive::{Encoding, HybridArchive, HybridPlan},
    image::Image,
    provenance::PROVENANCE_LABEL,
    reference::ImageReference,
    reporter::{Event, Reporter},
    store::{BlobStore, SharedLock},
};
use bollard::query_parameters::ImportImageOptionsBuilder;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc;

use super::{Docker, error::EngineError, image::EngineImage, info::EngineStore};
use crate::names;

/// How much is handed to the engine at once.
const PIECE: usize = 512 << 10;
/// How many pieces may wait.
const WAITING: usize = 4;

/// What is to be loaded.
#[derive(Clone, Copy)]
pub struct LoadRequest<'a> {
    /// The store that has the image.
    pub store: &'a BlobStore,
    /// Proof that nothing is pruned meanwhile.
    pub lock: &'a SharedLock,
    /// The image.
    pub image: &'a Image,
    /// What the engine is to call it; needs a tag.
    pub reference: &'a ImageReference,
    /// Who watches.
    pub reporter: &'a dyn Reporter,
}

impl std::fmt::Debug for LoadRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadRequest")
            .field("reference", self.reference)
            .finish_non_exhaustive()
    }
}

/// What loading took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// What the engine calls the image, whatever its names.
    pub id: String,
    /// Bytes sent; none if the engine had it.
    pub bytes_sent: u64,
    /// Whether layers were left out.
    pub thin: bool,
}

impl Docker {
    /// Returns what this engine will call `image`.
    pub fn id_of(&self, image: &Image) -> String {
        match self.info().store {
            EngineStore::GraphDriver => image.config().digest().to_string(),
            EngineStore::Containerd => image.digest().to_string(),
        }
    }

    /// Refuses a name that an image of somebody else has in the engine.
    pub async fn refuse_taken(&self, reference: &ImageReference) -> Result<(), EngineError> {
        let there = self.image(&reference.familiar()).await?;
        refuse_foreign(reference, there.as_ref())
    }

    /// Makes sure that the engine has the image under the name, unless that is another's.
    pub async fn load(&self, request: &LoadRequest<'_>) -> Result<Loaded, EngineError> {
        let LoadRequest {
            store,
            lock,
            image,
            reference,
            reporter,
        } = *request;
        let name = reference.familiar();
        let id = self.id_of(image);
        let before = self.image(&name).await?;
        if self.is(before.as_ref(), image) {
            return Ok(nothing_sent(id));
        }
        refuse_foreign(reference, before.as_ref())?;
        // Another run may take its own name away meanwhile, and the image with it.
        if self.is(self.image(&id).await?.as_ref(), image) && self.tag_if_there(&id, &name).await? {
            self.remember(store, lock, image)?;
            self.forget(before, &name).await;
            return Ok(nothing_sent(id));
        }
        let omit = self.layers_there(store, image).await?;
        let mut thin = !omit.is_empty();
        let mut bytes_sent = 0;
        let mut outcome = self.send(request, omit, &mut bytes_sent).await;
        if thin && matches!(outcome, Err(EngineError::Load { .. })) {
            self.untag_broken(&name, &id).await;
            thin = false;
            outcome = self.send(request, BTreeSet::new(), &mut bytes_sent).await;
        }
        outcome?;
        self.remember(store, lock, image)?;
        self.forget(before, &name).await;
        reporter.event(Event::LoadDone { reference: &name });
        Ok(Loaded {
            id,
            bytes_sent,
            thin,
        })
    }

    /// Sends the image without the layers at `omit` and verifies that the engine has it then.
    async fn send(
        &self,
        request: &LoadRequest<'_>,
        omit: BTreeSet<usize>,
        bytes_sent: &mut u64,
    ) -> Result<(), EngineError> {
        let name = request.reference.familiar();
        let plan = HybridPlan {
            names: vec![request.reference.clone()],
            omit,
            encoding: if self.info().store == EngineStore::GraphDriver && !self.info().is_podman() {
                Encoding::Uncompressed
            } else {
                Encoding::Canonical
            },
        };
        let (store, image) = (request.store.clone(), request.image.clone());
        let planned =
            tokio::task::spawn_blocking(move || HybridArchive::new(&store, &image, &plan));
        let archive = planned
            .await
            .map_err(|error| EngineError::Archive {
                source: error.into(),
            })?
            .map_err(|error| EngineError::Archive {
                source: error.into(),
            })?;
        request.reporter.event(Event::LoadStarted {
            reference: &name,
            bytes: archive.total_bytes(),
        });
        let sent = &mut |bytes: u64| {
            *bytes_sent += bytes;
            request.reporter.event(Event::LoadSent { bytes });
        };
        let complaint = self.stream(&name, archive, sent).await?;
        let there = self.image(&self.id_of(request.image)).await?;
        let reason = match (complaint, there) {
            (Some(complaint), _) => complaint,
            (None, None) => "it is not there afterwards".to_owned(),
            (None, there) if self.is(there.as_ref(), request.image) => {
                return self.named(request, there).await;
            }
            (None, Some(_)) => "it has other layers afterwards, or lacks some".to_owned(),
        };
        Err(EngineError::Load {
            reference: name,
            reason,
        })
    }

    /// Makes sure of the name: Podman, and archives whose names an engine drops, leave the image without.
    async fn named(
        &self,
        request: &LoadRequest<'_>,
        there: Option<EngineImage>,
    ) -> Result<(), EngineError> {
        let name = request.reference.familiar();
        let has = there.is_some_and(|there| there.names.contains(&name));
        if has {
            return Ok(());
        }
        self.tag(&self.id_of(request.image), &name).await
    }

    /// Streams an archive to the engine; returns what the engine complained of.
    async fn stream(
        &self,
        name: &str,
        archive: HybridArchive,
        sent: &mut dyn FnMut(u64),
    ) -> Result<Option<String>, EngineError> {
        let (pieces, waiting) = mpsc::channel(WAITING);
        let reading = tokio::task::spawn_blocking(move || read_out(archive, &pieces));
        let (count, mut counted) = mpsc::unbounded_channel();
        let body = stream::unfold((waiting, count), |(mut waiting, count)| async move {
            let piece: Bytes = waiting.recv().await?;
            // Nobody counts any more once the engine has answered.
            count.send(piece.len() as u64).unwrap_or_default();
            Some((Ok::<_, std::io::Error>(piece), (waiting, count)))
        });
        let options = ImportImageOptionsBuilder::new().build();
        let mut answers = self.patient.import_image_stream(options, body, None);
        let mut complaint = None;
        loop {
            tokio::select! {
                Some(bytes) = counted.recv() => sent(bytes),
                answer = answers.next() => match answer {
                    None => break,
                    Some(Ok(line)) => {
                        let text = line.stream.unwrap_or_default();
                        if text.contains("Error unpacking") {
                            complaint.get_or_insert_with(|| text.trim().to_owned());
                        }
                    }
                    Some(Err(bollard::errors::Error::DockerStreamError { error })) => {
                        complaint.get_or_insert(error);
                    }
                    Some(Err(bollard::errors::Error::DockerResponseServerError { message, .. })) => {
                        complaint.get_or_insert(message);
                        break;
                    }
                    Some(Err(source)) => {
                        // If it was our own side that stopped, that is the reason to tell.
                        drop(answers);
                        read_whole(reading.await)?;
                        return Err(EngineError::call(format!("load image {name}"), source));
                    }
                }
            }
        }
        drop(answers);
        while let Ok(bytes) = counted.try_recv() {
            sent(bytes);
        }
        if complaint.is_none() {
            read_whole(reading.await)?;
        }
        Ok(complaint)
    }

    /// Tells whether what the engine has is `image`, whole.
    fn is(&self, there: Option<&EngineImage>, image: &Image) -> bool {
        there.is_some_and(|there| {
            there.id == self.id_of(image)
                && there.diff_ids == image.diff_ids()
                && there.complete != Some(false)
        })
    }

    /// Removes a name that a failed thin load has put on an image that cannot run.
    async fn untag_broken(&self, name: &str, id: &str) {
        let broken = match self.image(name).await {
            Ok(Some(there)) => there.id == id,
            Ok(None) => false,
            Err(_) => true,
        };
        if broken {
            // The whole image that is sent next takes the name over in any case.
            self.remove_image(name).await.unwrap_or_default();
        }
    }

    /// Removes the image of ours that lost its only name to the new one, unless a container still uses it.
    async fn forget(&self, before: Option<EngineImage>, name: &str) {
        if let Some(before) = before
            && before.labels.contains_key(PROVENANCE_LABEL)
            && before.names.iter().all(|other| other == name)
        {
            self.remove_image(&before.id).await.unwrap_or_default();
        }
    }
}

/// Names that only this program gives are its own, whatever has them; others are if the image says that we made it.
fn refuse_foreign(
    reference: &ImageReference,
    there: Option<&EngineImage>,
) -> Result<(), EngineError> {
    match there {
        Some(there)
            if !names::is_ours(reference) && !there.labels.contains_key(PROVENANCE_LABEL) =>
        {
            Err(EngineError::Foreign {
                reference: reference.familiar(),
            })
        }
        Some(_) | None => Ok(()),
    }
}

fn nothing_sent(id: String) -> Loaded {
    Loaded {
        id,
        bytes_sent: 0,
        thin: true,
    }
}

/// Reads an archive piece by piece; returns quietly when nobody wants more.
fn read_out(archive: HybridArchive, pieces: &mpsc::Sender<Bytes>) -> std::io::Result<()> {
    let mut reader = archive.into_reader();
    loop {
        let mut piece = vec![0; PIECE];
        let mut filled = 0;
        while let Some(room) = piece.get_mut(filled..).filter(|room| !room.is_empty()) {
            match reader.read(room)? {
                0 => break,
                read => filled += read,
            }
        }
        piece.truncate(filled);
        if filled == 0 || pieces.blocking_send(Bytes::from(piece)).is_err() {
            return Ok(());
        }
    }
}

fn read_whole(
    read: Result<std::io::Result<()>, tokio::task::JoinError>,
) -> Result<(), EngineError> {
    let archive = |source| EngineError::Archive { source };
    read.map_err(|error| archive(error.into()))?
        .map_err(archive)
}
