//! A directory as a root image: packed as it is read, so that no tar of it is ever on a disk.

use std::{io, path::Path};

use assembler::{
    image::Image,
    transport::{TransportError, import_tree},
};

use crate::{
    aside::aside,
    context::Context,
    diagnostic::Diagnostic,
    engine::{
        Engine,
        native::{NativeError, pack},
    },
    exit_status::ExitStatus,
    image_source::owned_store,
};

/// Brings a directory with a root file system into the store, as an image of one layer.
pub async fn read(context: &Context, directory: &Path) -> Result<Image, Diagnostic> {
    let Some(Engine::Native(native)) = context.settings.native().engine() else {
        return Err(Diagnostic::new(
            "root-directory",
            ExitStatus::Refused,
            "only Linux reads a directory with a root file system as it is",
        )
        .hint("pack it as a tar on Linux, and import that"));
    };
    let native = native.heeding(context.interrupt.token());
    let (store, lock) = owned_store(context)?;
    let platform = context.platform();
    let path = directory.to_owned();
    let (image, left_out) = aside(move || {
        let failed = |source| TransportError::Read {
            path: path.clone(),
            source,
        };
        let (tar, to) = io::pipe().map_err(failed)?;
        std::thread::scope(|scope| {
            let packing = scope.spawn(|| pack(&native, &path, to.into()));
            let made = import_tree(&store, &lock, (&path, tar), &platform);
            let packed = packing
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            match (made, packed) {
                (Ok(image), Ok(left_out)) => Ok((image, left_out)),
                // What was read of it broke off, because it could not be packed, or the other way round.
                (_, Err(error)) if !is_unread(&error) => Err(Diagnostic::from(error)),
                (Err(error), _) => Err(Diagnostic::from(error)),
                (Ok(_), Err(error)) => Err(Diagnostic::from(error)),
            }
        })
    })
    .await?;
    for what in left_out {
        context.printer.warn(&what);
    }
    Ok(image)
}

/// Tells whether it failed because nobody read what was packed.
fn is_unread(error: &NativeError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        let system = inner.downcast_ref::<io::Error>();
        if system.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            return true;
        }
        cause = inner.source();
    }
    false
}
