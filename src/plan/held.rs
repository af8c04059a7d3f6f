//! The image at hand, held against what is asked for: whether it is that image at all, and whether it is whole.
//!
//! Invariant: an image that was made of another agent, base or extensions, or pulled where the definitions of this
//! machine decide now, is never taken for what is asked for, whatever its name.

use assembler::{
    image::Image,
    reference::ImageReference,
    store::{ImageRecord, RemoteRecord, StoreError},
};

use super::{
    Plan, Want,
    draft::{Answer, Draft},
};
use crate::{
    base_drift,
    base_image::{self, BaseImage},
    definition::Source,
    diagnostic::Diagnostic,
    names,
    selection::Selection,
    supply::Ask,
};

impl Draft<'_> {
    /// Plans for the image as it was made; `None` when what it was made of is no longer known.
    pub(super) async fn held(&self, record: &ImageRecord) -> Result<Option<Plan>, Diagnostic> {
        let (store, _) = self.context.store()?;
        if !self.has_same_parts(record) || self.other_choice(record)?.is_some() {
            return Ok(None);
        }
        let Some(image) = there(store.image(&record.manifest.digest))? else {
            return Ok(None);
        };
        let is_final = base_image::was_pulled(self.context, self.selection, record);
        if is_final && self.selection.extensions.is_empty() {
            // A finished image that was pulled, as it is or with our entrypoint on top.
            let complete = base_image::missing_bytes(self.context, &image)? == 0;
            return Ok(complete.then(|| self.nothing(&image, record)));
        }
        let Some(base) = &record.base else {
            return Ok(None);
        };
        // A base that was assembled here, or by the user's definition, is followed at once: it cost no network.
        let local_name = base_image::local_name(self.selection.base);
        let local = store.tagged(&local_name)?;
        // The image's own version counts, whatever was heard since; where the script runs, it installs what is newest.
        let answer = Answer::Before(None, Ask::WhenOld);
        if let Some(local) = local {
            let definition = self.selection.base;
            if let Some(changed) =
                base_drift::changed(self.context, definition, (&local, Want::Held)).await?
            {
                return self.build(changed, answer).map(Some);
            }
            return match there(store.image(&local.manifest.digest))? {
                Some(_) if local.manifest.digest == base.digest => self
                    .build(BaseImage::Local(Box::new(local)), answer)
                    .map(Some),
                _ => Ok(None),
            };
        }
        let reference = base.reference.parse::<ImageReference>();
        let is_ours = reference.as_ref().is_ok_and(names::is_ours);
        if base.reference != local_name.to_string() && (is_ours || self.selection.base.is_custom())
        {
            // A definition of the user's came or went: the base of that name is another one.
            return Ok(None);
        }
        let Some(base_image) = there(store.image(&base.digest))? else {
            return Ok(None);
        };
        let manifest = base_image.manifest();
        let remembered = RemoteRecord {
            reference: reference.unwrap_or_else(|_not_a_name| self.reference.clone()),
            digest: base.digest,
            manifest: assembler::descriptor::Descriptor {
                media_type: manifest.value().media_type.clone(),
                digest: base.digest,
                size: manifest.size(),
                annotations: std::collections::BTreeMap::new(),
            },
            layers: manifest.value().layers.clone(),
            checked_at: record.made_at.clone(),
            gone_at: None,
        };
        let remembered = Box::new(remembered);
        let base = if is_final {
            BaseImage::Final(remembered)
        } else {
            BaseImage::Published(remembered)
        };
        self.build(base, answer).map(Some)
    }

    /// Says why the image is another one than is asked for, though it has the name; its extensions are compared layer by
    /// layer.
    pub(super) fn other_choice(&self, record: &ImageRecord) -> Result<Option<String>, Diagnostic> {
        if let Some(other) = self.other_parts(record) {
            return Ok(Some(other));
        }
        if !base_image::was_pulled(self.context, self.selection, record) {
            return Ok(None);
        }
        let why = self.not_pulled()?;
        Ok(why.map(|why| format!("the published image is not used: {why}")))
    }

    /// Says that the image was made of another agent or base.
    pub(super) fn other_parts(&self, record: &ImageRecord) -> Option<String> {
        let Selection { agent, base, .. } = self.selection;
        let made_of = record.parts.as_ref()?;
        if made_of.agent != agent.id {
            return Some(format!(
                "it was made of agent `{}`, not `{}`",
                made_of.agent, agent.id
            ));
        }
        (made_of.base != base.id)
            .then(|| format!("it was made on base `{}`, not `{}`", made_of.base, base.id))
    }

    /// Tells whether the image was put together of what is asked for, as far as that was recorded.
    pub(super) fn has_same_parts(&self, record: &ImageRecord) -> bool {
        let extensions = self.selection.extensions.iter();
        let same_extensions =
            |made_of: &[String]| made_of.iter().eq(extensions.map(|extension| &extension.id));
        self.other_parts(record).is_none()
            && record
                .parts
                .as_ref()
                .is_none_or(|made_of| same_extensions(&made_of.extensions))
    }

    /// Says why a published finished image is not used, even where there is one.
    pub(super) fn not_pulled(&self) -> Result<Option<String>, Diagnostic> {
        let Selection { agent, base, .. } = self.selection;
        let (store, _) = self.context.store()?;
        Ok(if self.selection.from_base {
            Some("it is to be made on its base".to_owned())
        } else if agent.source != Source::BuiltIn {
            Some(format!("agent `{}` is defined by you", agent.id))
        } else if !agent.is_published() {
            Some(format!("agent `{}` is made here only", agent.id))
        } else if base.is_custom() {
            Some(format!("base `{}` is defined by you", base.id))
        } else if store.tagged(&base_image::local_name(base))?.is_some() {
            Some(format!("base `{}` is assembled here", base.id))
        } else {
            None
        })
    }
}

/// Takes what is lost or damaged as not there, so that it is made or fetched anew.
fn there(image: Result<Image, StoreError>) -> Result<Option<Image>, StoreError> {
    match image {
        Ok(image) => Ok(Some(image)),
        Err(
            StoreError::Missing { .. } | StoreError::Corrupt { .. } | StoreError::WrongSize { .. },
        ) => Ok(None),
        Err(error) => Err(error),
    }
}
