//! A step: runs scripts as root, or carries out instructions, and answers with what they changed.
//!
//! All that is needed afterwards is opened before the first script runs, because a script may delete or replace
//! anything: the answer's channel, the index, the root, its upper directory. Exit codes: 0 when an answer was written in full, 2 when
//! called wrongly, 97 when the directory is not the one the caller meant, 98 when its pipe cannot be opened, 99 else.

mod answer;
mod certificates;
mod ground;
mod guests;
mod index;
mod inherited;
mod instructions;
mod looking;
mod place;
mod scripts;
mod spec;
mod tars;
mod unpack;
mod users;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, BufWriter, Read as _, Write};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use layer::capture::{Beneath, CaptureError, Scope, Timestamp, Warning, capture, mountpoints};
use layer::tar::{LayerWriter, WriteError};
use layer::{IndexError, LayerPath};
use rustix::fs::{Mode, OFlags};

use self::answer::Answer;
use self::ground::{Ground, layer_path};
use self::guests::Guests;
use self::index::Index;
use self::instructions::Instructions;
use self::looking::Looking;
use self::scripts::{Outcome, Scripts};
use self::spec::{Mode as StepMode, Spec};

const NOT_OURS: u8 = 97;
const NO_PIPE: u8 = 98;
const UNANSWERED: u8 = 99;

/// Why a step could not be prepared, run or captured.
#[derive(Debug, thiserror::Error)]
enum StepError {
    /// A file operation failed; the source names the file.
    #[error("the step cannot be prepared")]
    File(#[from] io::Error),
    #[error("the step's index cannot be used")]
    Index(#[from] IndexError),
    #[error("the step names a script that is none: {name}")]
    ScriptName { name: String },
    #[error("cannot open the root directory")]
    Root(#[source] io::Error),
    #[error("the upper directory cannot be used")]
    Upper(#[source] io::Error),
    #[error("cannot wait for the script {name}")]
    Wait {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error("{label}")]
    Place {
        label: String,
        #[source]
        source: io::Error,
    },
    #[error("{label}")]
    Unpack {
        label: String,
        #[source]
        source: unpack::UnpackError,
    },
    #[error("{label}")]
    User {
        label: String,
        #[source]
        source: users::UserError,
    },
    #[error("the changes cannot be captured")]
    Capture(#[from] CaptureError),
    #[error("the changes cannot be written")]
    Write(#[from] WriteError),
}

impl StepError {
    /// Tells whether an instruction does not fit what is there, which its author can change.
    fn is_of_files(&self) -> bool {
        use io::ErrorKind::{OutOfMemory, QuotaExceeded, StorageFull};
        use unpack::UnpackError;
        let fits =
            |error: &io::Error| !matches!(error.kind(), StorageFull | QuotaExceeded | OutOfMemory);
        match self {
            Self::User { .. } => true,
            Self::Place { source, .. } => fits(source),
            Self::Unpack { source, .. } => match source {
                UnpackError::File(source) => fits(source),
                other => !matches!(other, UnpackError::Read(_)),
            },
            _ => false,
        }
    }
}

/// What stays open while scripts run.
struct Step {
    spec: Spec,
    directory: PathBuf,
    private: PathBuf,
    root: OwnedFd,
    index: Index,
    looking: Looking,
    /// Places that are in no layer.
    mounted: BTreeSet<LayerPath>,
}

/// What came of a step besides its outcome.
struct Work {
    since: Timestamp,
    guests: Guests,
    /// What was put below mounts.
    beneath: Beneath,
    /// Places that are in no layer, besides mountpoints and files of the engine.
    skip: BTreeSet<LayerPath>,
    /// Directories that the engine made and an instruction wanted too.
    claimed: BTreeSet<LayerPath>,
}

/// Runs the step that a directory describes.
pub(crate) fn run(directory: &Path, nonce: &OsStr) -> ExitCode {
    if rustix::process::getpid() != rustix::process::Pid::INIT {
        crate::say(
            "a step ends with killing every process it sees, so it only runs as PID 1 of a container",
        );
        return ExitCode::from(2);
    }
    // Else a script, which is root, could look into this program and at its channel.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .unwrap_or_default();
    let spec = match Spec::read(directory) {
        Ok(spec) if nonce.to_str() == Some(spec.nonce.as_str()) => spec,
        Ok(_) => {
            crate::say(&format!("{} belongs to another step", directory.display()));
            return ExitCode::from(NOT_OURS);
        }
        Err(error) => {
            crate::say(&crate::explain(&error));
            return ExitCode::from(NOT_OURS);
        }
    };
    // Now, while the number cannot be that of anything of ours.
    let upper = spec.upper.map(inherited::directory).transpose();
    let output = match answer::channel(directory, spec.output) {
        Ok(output) => output,
        Err(error) => {
            crate::say(&format!(
                "cannot open the pipe in {}: {error}",
                directory.display()
            ));
            return ExitCode::from(NO_PIPE);
        }
    };
    let mut output = BufWriter::with_capacity(1 << 18, output);
    let result = answered(directory, spec, upper, &mut output);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::say(&crate::explain(&error));
            ExitCode::from(UNANSWERED)
        }
    }
}

/// Runs the step and writes its answer; fails only when the answer is not complete.
fn answered(
    directory: &Path,
    spec: Spec,
    upper: io::Result<Option<OwnedFd>>,
    output: &mut impl Write,
) -> Result<(), StepError> {
    let ran = Step::open(directory, spec, upper).and_then(|step| step.run().map(|ran| (step, ran)));
    crate::children::end_all();
    let ran = ran.and_then(|(step, (outcome, mut work))| {
        work.skip.extend(std::mem::take(&mut work.guests).leave()?);
        Ok((step, outcome, work))
    });
    let (step, outcome, work) = match ran {
        Ok(ran) => ran,
        Err(error) => {
            let message = crate::explain(&error);
            crate::say(&message);
            let answer = if error.is_of_files() {
                Answer::Refused { message }
            } else {
                Answer::Error { message }
            };
            answer.write(output)?;
            return Ok(output.flush()?);
        }
    };
    let captured = match outcome {
        Outcome::Failed { script, exit } => {
            Answer::Failed { script, exit }.write(output)?;
            return Ok(output.flush()?);
        }
        Outcome::Ran {
            scripts,
            output: captured,
        } => {
            Answer::Ok { scripts }.write(output)?;
            captured
        }
    };
    match (step.spec.mode, captured) {
        (StepMode::Capture, _) => step.write_layer(work, output),
        (StepMode::Query, Some(captured)) => {
            let mut limited = captured.take(answer::QUERY_BYTES);
            io::copy(&mut limited, output)?;
            Ok(output.flush()?)
        }
        (StepMode::Query, None) => Ok(output.flush()?),
    }
}

impl Step {
    fn open(
        directory: &Path,
        spec: Spec,
        upper: io::Result<Option<OwnedFd>>,
    ) -> Result<Self, StepError> {
        let root = rustix::fs::open(
            "/",
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|error| StepError::Root(error.into()))?;
        let index = Index::begin(&directory.join("index"))?;
        let looking = match upper.map_err(StepError::Upper)? {
            Some(upper) => Looking::inside(upper).map_err(StepError::Upper)?,
            None => Looking::everywhere(root.as_fd(), index.get()?),
        };
        let private = PathBuf::from(format!("/.aicage-{}-run", spec.nonce));
        Ok(Self {
            mounted: mounted(),
            looking,
            directory: directory.to_owned(),
            private,
            root,
            index,
            spec,
        })
    }

    fn run(&self) -> Result<(Outcome, Work), StepError> {
        if self.spec.instructions.is_empty() {
            return self.run_scripts();
        }
        fs_err::create_dir(&self.private)?;
        let mut instructions = Instructions::prepare((&self.directory, &self.private), &self.spec)?;
        guests::receive(&self.spec.secrets)?;
        instructions.secrets = guests::receive_variables(&self.spec.variables)?;
        instructions.environment.extend(self.certificates()?);
        let index = self.index.get()?;
        let guests = Guests::place(&self.spec.placed, &self.private, index)?;
        let since = self.now()?;
        let mut covers = self.foreign()?;
        covers.extend(guests.places());
        let mut ground = Ground::new(index, covers, &self.private, since.seconds)?;
        let outcome = instructions.run(&mut ground)?;
        let (beneath, skip, claimed) = ground.leave();
        let work = Work {
            since,
            guests,
            beneath,
            skip,
            claimed,
        };
        Ok((outcome, work))
    }

    fn run_scripts(&self) -> Result<(Outcome, Work), StepError> {
        let mut scripts = Scripts::prepare(&self.directory, &self.private, &self.spec)?;
        scripts.environment = self.certificates()?;
        let work = Work {
            since: self.now()?,
            guests: Guests::default(),
            beneath: Beneath::default(),
            skip: BTreeSet::new(),
            claimed: BTreeSet::new(),
        };
        Ok((scripts.run(&self.spec)?, work))
    }

    /// Returns what is there and belongs to the engine or to us: mountpoints, and files.
    fn foreign(&self) -> Result<BTreeSet<LayerPath>, IndexError> {
        let ours = [&self.directory, &self.private];
        let engines = ["/.dockerenv", "/run/.containerenv"].map(PathBuf::from);
        let excluded = self.spec.exclude.iter().map(PathBuf::from);
        let paths = ours.into_iter().cloned().chain(engines).chain(excluded);
        let mut foreign = self.mounted.clone();
        foreign.extend(paths.filter_map(|path| layer_path(&path)));
        // Engines make this link in every container, so the step did not; unless the image has it itself.
        let mtab = layer_path(Path::new("/etc/mtab"));
        let index = self.index.get()?;
        foreign.extend(mtab.filter(|mtab| index.get(mtab).is_none()));
        Ok(foreign)
    }

    fn certificates(&self) -> io::Result<Vec<(String, String)>> {
        if self.spec.ca {
            certificates::install(&self.directory.join("ca.pem"), &self.private)
        } else {
            Ok(Vec::new())
        }
    }

    /// Returns the time as the filesystem that is captured sees it.
    fn now(&self) -> Result<Timestamp, StepError> {
        use std::os::unix::fs::MetadataExt as _;
        let path = self.private.join("now");
        let metadata = fs_err::File::create(&path)?.metadata()?;
        self.looking.prove(&path).map_err(StepError::Upper)?;
        fs_err::remove_file(&path)?;
        let nanoseconds = u32::try_from(metadata.ctime_nsec()).unwrap_or(0);
        Ok(Timestamp {
            seconds: metadata.ctime(),
            nanoseconds,
        })
    }

    fn write_layer(&self, work: Work, output: &mut impl Write) -> Result<(), StepError> {
        let index = self.index.get()?;
        let mut skip = self.foreign()?;
        skip.extend(mounted());
        skip.extend(work.skip);
        guests::skip_stubs(&mut skip, |path| {
            let is_ours = work.claimed.contains(path) || work.beneath.reaches(path);
            !is_ours && index.get(path).is_none()
        });
        let scope = Scope {
            index,
            extent: self.looking.extent(),
            since: work.since,
            skip,
            beneath: &work.beneath,
            latest: self.spec.source_date_epoch,
        };
        let mut writer = LayerWriter::new(output);
        let mut warn = |warning: Warning| crate::say(&warning.to_string());
        capture(self.root.as_fd(), &scope, &mut writer, &mut warn)?;
        writer.finish()?;
        Ok(())
    }
}

fn mounted() -> BTreeSet<LayerPath> {
    fs_err::read("/proc/self/mountinfo")
        .map(|text| mountpoints(&text).into_iter().collect())
        .unwrap_or_default()
}
