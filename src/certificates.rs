//! The company's certificate authorities, `network.ca`: read, looked through, and written for those who need them.
//!
//! Invariant: what leaves here is certificates in PEM, each as OpenSSL writes it, each once, and nothing else of the files:
//! a private key that stands in one goes nowhere.

mod authority;
mod bundle;
mod pem;
mod without_init;

pub use authority::Authority;
pub use bundle::{Given, for_session, for_this_machine};
pub(crate) use bundle::{VARIABLES, directory};
pub use without_init::settle;

use std::path::{Path, PathBuf};

use crate::{
    context::Context,
    diagnostic::Diagnostic,
    exit_status::ExitStatus,
    settings::Settings,
    small_file::{self, SmallFile},
};

/// Most files that `network.ca` may name.
const FILES: usize = 64;
/// Most bytes of one.
const BYTES: u64 = 16 << 20;

/// A file of certificate authorities.
#[derive(Clone, Debug)]
pub struct AuthorityFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it holds, at least one.
    pub authorities: Vec<Authority>,
    /// Why certificates in it were left out.
    pub left_out: Vec<String>,
    /// Whether there is a private key too.
    pub has_key: bool,
}

/// Reads the files that `network.ca` names; a file with more or less in it than certificates is told of once.
pub fn read(context: &Context) -> Result<Vec<AuthorityFile>, Diagnostic> {
    let mut files = Vec::new();
    for path in named(&context.settings)? {
        let file = read_one(&path)?;
        tell(context, &file);
        files.push(file);
    }
    Ok(files)
}

/// Returns the files that `network.ca` names.
pub fn named(settings: &Settings) -> Result<Vec<PathBuf>, Diagnostic> {
    let named = &settings.config.network.ca;
    if named.len() > FILES {
        return Err(refused(&format!(
            "`network.ca` names {} files, and {FILES} are allowed",
            named.len()
        ))
        .hint("put the certificates into one file"));
    }
    Ok(named.iter().map(|path| settings.user_path(path)).collect())
}

/// Returns all of them in one text of PEM; `None` when there are none.
pub fn configured(context: &Context) -> Result<Option<String>, Diagnostic> {
    Ok(joined(read(context)?))
}

/// The same for steps; says which certificates are of no use.
pub fn configured_for_steps(context: &Context) -> Result<Option<String>, Diagnostic> {
    let files = read(context)?;
    for file in &files {
        tell_of_oddities(context, file);
    }
    Ok(joined(files))
}

fn joined(files: Vec<AuthorityFile>) -> Option<String> {
    let mut seen = Vec::new();
    for file in files {
        for authority in file.authorities {
            if !seen.contains(&authority.pem) {
                seen.push(authority.pem);
            }
        }
    }
    (!seen.is_empty()).then(|| seen.concat())
}

/// Reads one of them.
pub fn read_one(path: &Path) -> Result<AuthorityFile, Diagnostic> {
    const HINT: &str = "correct `network.ca`: `aicage config set network.ca FILE…`";
    let name = path.display();
    let content = match small_file::read(path, BYTES) {
        Ok(SmallFile::Content(content)) => content,
        Ok(SmallFile::Missing) => {
            return Err(
                refused(&format!("`network.ca` names {name}, which is not there")).hint(HINT),
            );
        }
        Ok(SmallFile::TooLarge(size)) => {
            return Err(refused(&format!(
                "{name} of `network.ca` has {size} bytes or more, and {BYTES} are allowed"
            ))
            .hint(HINT));
        }
        Err(error) => {
            return Err(refused(&format!("cannot read {name} of `network.ca`"))
                .caused_by(Some(&error))
                .hint(HINT));
        }
    };
    let sections = pem::read(&content).map_err(|reason| {
        refused(&format!("{name} of `network.ca` {reason}"))
            .hint(pem::remedy(path, &content).as_str())
    })?;
    let mut file = AuthorityFile {
        path: path.to_owned(),
        authorities: Vec::new(),
        left_out: Vec::new(),
        has_key: sections.has_key,
    };
    for der in sections.certificates {
        match Authority::of(&der) {
            Ok(authority) => file.authorities.push(authority),
            Err(error) => file.left_out.push(error.to_string()),
        }
    }
    if file.authorities.is_empty() {
        return Err(refused(&format!(
            "{name} of `network.ca` holds no certificate that can be read"
        ))
        .hint(HINT));
    }
    Ok(file)
}

/// Warns of what is odd about a file.
fn tell(context: &Context, file: &AuthorityFile) {
    let name = file.path.display();
    if file.has_key {
        context.warn_once(format!(
            "{name} of `network.ca` holds a private key; it is not used, and should not be there"
        ));
    }
    for error in &file.left_out {
        context.warn_once(format!(
            "a certificate in {name} of `network.ca` cannot be read and is left out: {error}"
        ));
    }
}

/// Warns of certificates that are of no use: for whoever builds, as nobody reads it at each start.
fn tell_of_oddities(context: &Context, file: &AuthorityFile) {
    let name = file.path.display();
    match file.oddities(&context.now).as_slice() {
        [] => {}
        [one] => context.warn_once(format!("in {name} of `network.ca`, {one}")),
        // A whole store of authorities always has some; nobody reads a list of them.
        odd => context.warn_once(format!(
            "{} of {} certificates in {name} of `network.ca` are expired or no authority's; `aicage doctor` names them",
            odd.len(),
            file.authorities.len()
        )),
    }
}

impl AuthorityFile {
    /// Says of each certificate that is of no use at a time, RFC 3339, whose it is and why.
    pub fn oddities(&self, now: &str) -> Vec<String> {
        let odd = self.authorities.iter().filter_map(|authority| {
            let oddity = authority.oddity(now)?;
            Some(format!("`{}` {oddity}", authority.subject))
        });
        odd.collect()
    }
}

fn refused(what: &str) -> Diagnostic {
    Diagnostic::new("network-ca", ExitStatus::Usage, what)
}
