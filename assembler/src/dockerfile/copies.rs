//! Plans `COPY` and `ADD`: what is copied is there, and where it goes is a path.

use super::{
    chmod::Chmod,
    expand,
    groups::Doing,
    ignore::Ignore,
    plan::Planner,
    script::{Archives, Copy, Located, Refusal, refuse},
    stages::{Base, bad_word},
    state,
    tree::Tree,
};

/// A `COPY` or `ADD` whose variables are expanded.
#[derive(Debug)]
pub(crate) struct PlannedCopy {
    /// Nothing for the build context.
    pub(crate) from: Option<Base>,
    pub(crate) sources: Vec<String>,
    /// Names and contents.
    pub(crate) documents: Vec<(String, String)>,
    /// Absolute; with a slash at the end where that was written.
    pub(crate) to: String,
    pub(crate) owner: Option<String>,
    pub(crate) mode: Option<Chmod>,
    /// As written, for the key.
    pub(crate) mode_text: String,
    pub(crate) exclude: Ignore,
    /// As written, for the key.
    pub(crate) exclude_text: Vec<String>,
    pub(crate) archives: Archives,
}

impl Planner<'_> {
    pub(crate) fn missing(&self, source: &str, line: usize) -> Refusal {
        let reason = format!("there is no `{source}` in the build context");
        let instead = if self.build.context.opened().has_ignored() {
            "name a file below the Dockerfile's directory; a `.dockerignore` leaves some out"
        } else {
            "name a file below the Dockerfile's directory"
        };
        refuse(line, reason, instead)
    }

    pub(crate) fn copy(&mut self, copy: &Copy, instruction: &Located) -> Result<(), Refusal> {
        let line = instruction.line;
        let from = match &copy.from {
            None => None,
            Some(from) => {
                let base = self.stages.source(from, self.index, line)?;
                self.known(&base, line)?;
                Some(base)
            }
        };
        let mut sources = Vec::new();
        for source in &copy.sources {
            let source = self.expand(source, line)?;
            self.check_source(&source, (from.as_ref(), line))?;
            sources.push(source);
        }
        let mut documents = Vec::new();
        for document in &copy.documents {
            let content = if document.expand {
                expand::document(&document.content, &self.state.environment)
                    .map_err(|reason| bad_word(line, &reason))?
            } else {
                document.content.clone()
            };
            documents.push((document.name.clone(), content));
        }
        let written = self.expand(&copy.to, line)?;
        let mut to = state::absolute(&self.state.directory(), &written);
        if to != "/" && (written.ends_with('/') || written.ends_with("/.") || written == ".") {
            to.push('/');
        }
        if sources.len() + documents.len() > 1 && !to.ends_with('/') {
            return Err(refuse(
                line,
                format!(
                    "several sources are copied to `{written}`, which is not written as a directory"
                ),
                format!("write `{written}/`"),
            ));
        }
        let owner = copy.chown.as_ref().map(|word| self.expand(word, line));
        let mode_text = match &copy.chmod {
            Some(word) => self.expand(word, line)?,
            None => String::new(),
        };
        let mode = match mode_text.as_str() {
            "" => None,
            text => Some(Chmod::read(text).ok_or_else(|| {
                refuse(
                    line,
                    format!("--chmod={text} is no mode"),
                    "write an octal number such as `0755`, or changes such as `u+x,go-w`",
                )
            })?),
        };
        let exclude_text: Vec<String> = copy
            .exclude
            .iter()
            .map(|word| self.expand(word, line))
            .collect::<Result<_, _>>()?;
        let exclude = Ignore::of(exclude_text.iter().map(String::as_str)).map_err(|pattern| {
            refuse(
                line,
                format!("--exclude={pattern} is no pattern"),
                "write a path with `*`, `?` or `**`",
            )
        })?;
        let planned = PlannedCopy {
            from,
            sources,
            documents,
            to: to.clone(),
            owner: owner.transpose()?.filter(|owner| !owner.is_empty()),
            mode,
            mode_text,
            exclude,
            exclude_text,
            archives: copy.archives,
        };
        self.join(&to, instruction, Doing::Copy(planned));
        Ok(())
    }

    fn check_source(
        &self,
        source: &str,
        (from, line): (Option<&Base>, usize),
    ) -> Result<(), Refusal> {
        let mut depth = 0_i64;
        for part in source.split('/') {
            match part {
                "" | "." => {}
                ".." => depth -= 1,
                _ => depth += 1,
            }
            if depth < 0 {
                return Err(refuse(
                    line,
                    format!("`{source}` leads out of what can be copied from"),
                    "copy the file into the Dockerfile's directory, and name it without `..`",
                ));
            }
        }
        if from.is_some() {
            return Ok(());
        }
        let tree = Tree::Context(self.build.context.opened());
        match tree.find(source) {
            Ok(_) => Ok(()),
            Err(gone) => Err(self.missing(&gone, line)),
        }
    }
}
