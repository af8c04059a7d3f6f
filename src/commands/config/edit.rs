//! `aicage config edit`: an editor on a copy, which takes the place of the file once it is right; with an agent, the page of
//! its choices.
//!
//! Invariant: what the editor left is checked before it counts; a file that changed meanwhile is not written over; what
//! is not taken is kept and named.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use super::{
    EditArgs,
    place::{Place, PlaceKind, ScopeOption, place},
    set::readable_by_all,
};
use crate::{
    choosing::{Purpose, choose},
    context::Context,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    prompt::{self, Usually},
    selection::Choice,
    settings::{Layer, Scope},
    whole_file::{self, WholeFileError},
    yaml,
};

pub(super) async fn edit(context: &Context, args: &EditArgs) -> Result<(), Diagnostic> {
    if let Some(agent) = &args.agent {
        let anew = Choice {
            choose: true,
            ..Choice::default()
        };
        choose(context, agent, (&anew, Purpose::Change)).await?;
        return Ok(());
    }
    let place = place(context, args.scope.as_ref().unwrap_or(&ScopeOption::User));
    let before = yaml::read_bytes(&place.path)?;
    let text = before.as_deref().unwrap_or_default();
    let copy = copy_of(&place.path, text)?;
    let Err(failed) = edit_copy(context, &place, (before.as_deref(), &copy.path)).await else {
        return Ok(());
    };
    // Whatever failed: somebody's work is in there.
    let is_untouched =
        yaml::read_bytes(&copy.path).is_ok_and(|now| now.unwrap_or_default() == text);
    if is_untouched {
        return Err(failed);
    }
    Err(failed.fact("kept in", copy.keep().display().to_string()))
}

/// Lets the user edit `copy` until it is right, and puts it in place.
async fn edit_copy(
    context: &Context,
    place: &Place,
    (before, copy): (Option<&[u8]>, &Path),
) -> Result<(), Diagnostic> {
    loop {
        run_editor(context, copy).await?;
        let edited = yaml::read_bytes(copy)?.unwrap_or_default();
        if before.unwrap_or_default() == edited {
            context.printer.talk("nothing was changed");
            return Ok(());
        }
        let Err(wrong) = check(&edited, place) else {
            return put(place, before, &edited);
        };
        if prompt::can_ask(context) {
            context.printer.diagnostic(&wrong);
            if prompt::confirm(context, "Edit it again?", Usually::Yes).await? {
                continue;
            }
        }
        return Err(wrong);
    }
}

/// A copy for the editor, removed unless it is kept.
struct Copy {
    directory: Option<tempfile::TempDir>,
    path: PathBuf,
}

impl Copy {
    fn keep(mut self) -> PathBuf {
        if let Some(directory) = self.directory.take() {
            drop(directory.keep());
        }
        self.path
    }
}

fn copy_of(path: &Path, content: &[u8]) -> Result<Copy, Diagnostic> {
    let failed = |source| WholeFileError::Write {
        path: path.to_owned(),
        source,
    };
    let directory = tempfile::Builder::new()
        .prefix("aicage-config-")
        .tempdir()
        .map_err(failed)?;
    // The name tells an editor what it is.
    let copy = directory.path().join(path.file_name().unwrap_or_default());
    let mut file = fs_err::File::create(&copy).map_err(failed)?;
    file.write_all(content).map_err(failed)?;
    Ok(Copy {
        directory: Some(directory),
        path: copy,
    })
}

async fn run_editor(context: &Context, file: &Path) -> Result<(), Diagnostic> {
    let environment = &context.settings.environment;
    let editor = environment.visual.as_ref().or(environment.editor.as_ref());
    let editor = editor.map_or("vi", String::as_str);
    // As git has it: what is in the variable may have options.
    context.interrupt.give_away();
    context.printer.settle();
    let status = tokio::process::Command::new("/bin/sh")
        .arg("-c")
        .arg(format!("{editor} \"$@\""))
        .arg(editor)
        .arg(file)
        .stdin(Stdio::inherit())
        .stdout(Stdio::inherit())
        .status()
        .await;
    let failed = |why: String| {
        Diagnostic::new(
            "config-editor",
            ExitStatus::Failed,
            format!("the editor `{editor}` did not do its work: {why}"),
        )
        .hint("set `VISUAL` or `EDITOR` to one that is there, or use `aicage config set`")
    };
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(status.to_string())),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// Says what is wrong with a text, by the name of the file that it is for.
fn check(edited: &[u8], place: &Place) -> Result<(), Diagnostic> {
    match place.kind {
        PlaceKind::Settings => {
            Layer::of_file(edited, &place.path, &place.scope)?;
        }
        PlaceKind::Stored => {
            let warnings = crate::project::check(edited, (&place.path, &place.scope))?;
            if let Some(first) = warnings.into_iter().next() {
                return Err(Diagnostic::new("config-edit", ExitStatus::Usage, first));
            }
        }
    }
    Ok(())
}

fn put(place: &Place, before: Option<&[u8]>, edited: &[u8]) -> Result<(), Diagnostic> {
    let path = place.path.as_path();
    let directory = path.parent().unwrap_or(Path::new("/"));
    let failed = |source| WholeFileError::Write {
        path: path.to_owned(),
        source,
    };
    fs_err::create_dir_all(directory).map_err(failed)?;
    let lock = match place.kind {
        PlaceKind::Settings => directory.to_owned(),
        PlaceKind::Stored => crate::project::lock_of(path),
    };
    let lock = tokio::task::block_in_place(|| whole_file::lock(&lock))?;
    if yaml::read_bytes(path)?.as_deref() != before {
        return Err(Diagnostic::new(
            "config-edit",
            ExitStatus::Failed,
            format!("{} was changed by something else meanwhile", path.display()),
        )
        .hint("look at both and edit again"));
    }
    if place.scope == Scope::System && before.is_none() {
        readable_by_all(path).map_err(failed)?;
    }
    whole_file::replace(&lock, path, edited)?;
    Ok(())
}
