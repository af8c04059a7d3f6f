//! What the program in the container finds in its directory, `/.aicage-<nonce>`.
//!
//! `init` (the program), `step.json`, `scripts/…` or `tars/…`, `index` (of the image's paths), `ca.pem`, and for a mounted directory
//! the FIFO `out`. The nonce is random: a program that finds another one in `step.json` was given a directory that is
//! not ours, because the engine sees other files at that path.

use std::{
    io::{self, BufWriter, Read as _, Seek as _},
    os::fd::OwnedFd,
    path::Path,
};

use assembler::{
    recipe::ScriptFiles,
    sandbox::{CaptureError, SandboxError, StepRequest, Task},
};
use serde::Serialize;
use tempfile::TempDir;
use tokio::net::unix::pipe;

use super::{
    Hold, SandboxSettings,
    inside::Inside,
    spec::{Spec, spelled},
};

/// A step that is to be run, with what it takes whatever runs it.
pub(crate) struct StepJob<'a> {
    pub(crate) request: &'a StepRequest<'a>,
    pub(crate) mode: Mode,
    /// The image's paths, serialised.
    pub(crate) index: Vec<u8>,
}

/// A name that nobody else has.
#[derive(Debug)]
pub(crate) struct Nonce(String);

/// What is wanted of the scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// What they change.
    Capture,
    /// What they print.
    Query,
}

/// How files get in and the answer out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// By a mount and a FIFO.
    Bind,
    /// Through the engine.
    Upload,
}

/// The files, not yet anywhere.
#[derive(Debug)]
pub(crate) struct StepFiles<'a> {
    files: Vec<(String, u32, Content<'a>)>,
    spec: Vec<u8>,
}

/// What is in a file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// What is in another file.
    File(&'a Path),
}

/// The files where a container finds them, and our end of its answer.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) way: Way,
    pub(crate) answer: fs_err::File,
    /// Removed when dropped.
    pub(crate) directory: Option<TempDir>,
}

/// How our files get in and the answer out.
#[derive(Debug)]
pub(crate) enum Way {
    /// A directory of ours is mounted; the answer comes through a FIFO in it, which we hold open until the process
    /// has ended.
    Bind {
        /// The directory here.
        source: String,
        /// The directory there.
        target: String,
        /// Our writing end of the FIFO: as long as it is open, the reader waits.
        hold: Hold,
    },
    /// A tar of the files is sent to the engine; the answer is the container's stdout.
    Upload {
        /// The tar.
        archive: tokio::fs::File,
        /// Where the answer is written to.
        answer: pipe::Sender,
    },
}

impl<'a> StepJob<'a> {
    /// Reads the index of the image, if it takes one.
    pub(crate) fn new(request: &'a StepRequest<'a>, mode: Mode) -> Result<Self, SandboxError> {
        let index = match mode {
            Mode::Capture => {
                let store = request.store;
                let index = store.image_index_bytes(request.lock, request.image);
                index.map_err(CaptureError::Store)?
            }
            Mode::Query => Vec::new(),
        };
        Ok(Self {
            request,
            mode,
            index,
        })
    }
}

impl Connected {
    /// Returns our writing end of the FIFO, if there is one.
    pub(crate) fn hold(&self) -> Option<Hold> {
        match &self.way {
            Way::Bind { hold, .. } => Some(hold.clone()),
            Way::Upload { .. } => None,
        }
    }
}

impl Nonce {
    pub(crate) fn new() -> io::Result<Self> {
        let mut bytes = [0; 8];
        fs_err::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Self(format!("{:016x}", u64::from_be_bytes(bytes))))
    }

    pub(crate) fn directory(&self) -> String {
        format!("/.aicage-{}", self.0)
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// The command line of the container.
    pub(crate) fn command(&self) -> Vec<String> {
        let directory = self.directory();
        vec![
            format!("{directory}/init"),
            "step".to_owned(),
            directory,
            self.0.clone(),
        ]
    }
}

impl<'a> StepFiles<'a> {
    /// `changes` is the descriptor by which the program gets at what is changed, where there is one.
    pub(crate) fn new(
        job: &'a StepJob<'_>,
        nonce: &Nonce,
        settings: &'a SandboxSettings,
        (transport, inside, changes): (Transport, &Inside, Option<i32>),
    ) -> Result<Self, SandboxError> {
        let mut files = Vec::new();
        let (run, instructions): (&[String], _) = match job.request.task {
            Task::Scripts {
                files: scripts,
                run,
            } => {
                files.extend(script_files(scripts)?);
                (run, Vec::new())
            }
            Task::Instructions { instructions, .. } => (&[], spelled(instructions, &mut files)),
        };
        let ca = settings.ca.as_deref();
        // Volumes are in no layer, whether the engine mounts something there or not.
        let config = &job.request.image.config().value().config;
        let exclude: Vec<&str> = config.volumes.keys().map(String::as_str).collect();
        if job.mode == Mode::Capture {
            files.push(("index".to_owned(), 0o644, Content::Bytes(&job.index)));
        }
        if let Some(ca) = ca {
            files.push(("ca.pem".to_owned(), 0o644, Content::Bytes(ca)));
        }
        let spec = serde_json::to_vec(&Spec {
            nonce: &nonce.0,
            scripts: run,
            instructions,
            env: &settings.env,
            placed: &inside.placed,
            secrets: &inside.secrets,
            variables: &inside.variables,
            mode: job.mode,
            output: match transport {
                Transport::Bind => "fifo",
                Transport::Upload => "stdout",
            },
            ca: ca.is_some(),
            source_date_epoch: job.request.source_date,
            exclude: &exclude,
            upper: changes,
        })
        .expect("text and numbers are JSON");
        Ok(Self { files, spec })
    }

    /// Puts the files where the container finds them.
    pub(crate) fn connect(
        &self,
        settings: &SandboxSettings,
        nonce: &Nonce,
        transport: Transport,
    ) -> io::Result<Connected> {
        match transport {
            Transport::Bind => self.bind(settings, nonce),
            Transport::Upload => self.upload(settings, nonce),
        }
    }

    fn all<'s>(
        &'s self,
        settings: &SandboxSettings,
    ) -> impl Iterator<Item = (&'s str, u32, Content<'s>)> {
        let ours = [
            ("init", 0o755, Content::Bytes(settings.init)),
            ("step.json", 0o644, Content::Bytes(&self.spec)),
        ];
        let theirs = self
            .files
            .iter()
            .map(|(path, mode, content)| (path.as_str(), *mode, *content));
        ours.into_iter().chain(theirs)
    }

    fn bind(&self, settings: &SandboxSettings, nonce: &Nonce) -> io::Result<Connected> {
        use std::os::unix::fs::PermissionsExt as _;
        fs_err::create_dir_all(&settings.scratch)?;
        let directory = tempfile::Builder::new()
            .prefix("step-")
            .tempdir_in(&settings.scratch)?;
        let root = directory.path();
        fs_err::create_dir(root.join("scripts"))?;
        for (path, mode, content) in self.all(settings) {
            let path = root.join(path);
            if let Some(parent) = path.parent() {
                fs_err::create_dir_all(parent)?;
            }
            match content {
                Content::Bytes(bytes) => {
                    fs_err::write(&path, bytes)?;
                    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
                }
                // Root reads it, whatever its mode; a file of 2 GB need not be there twice.
                Content::File(file) => {
                    if fs_err::hard_link(file, &path).is_err() {
                        fs_err::copy(file, &path)?;
                    }
                }
            }
        }
        let (answer, hold) = fifo(&root.join("out"))?;
        let hold = Hold::new(hold);
        Ok(Connected {
            way: Way::Bind {
                source: root.to_string_lossy().into_owned(),
                target: nonce.directory(),
                hold,
            },
            answer,
            directory: Some(directory),
        })
    }

    fn upload(&self, settings: &SandboxSettings, nonce: &Nonce) -> io::Result<Connected> {
        let top = nonce.directory();
        let top = Path::new(top.trim_start_matches('/'));
        fs_err::create_dir_all(&settings.scratch)?;
        let file = tempfile::tempfile_in(&settings.scratch)?;
        let mut archive = tar::Builder::new(BufWriter::with_capacity(1 << 18, file));
        let mut directories = vec![top.to_owned(), top.join("scripts")];
        for (path, mode, content) in self.all(settings) {
            let path = top.join(path);
            let missing: Vec<_> = path
                .ancestors()
                .skip(1)
                .filter(|parent| {
                    parent.starts_with(top) && !directories.iter().any(|d| d == parent)
                })
                .map(Path::to_owned)
                .collect();
            directories.extend(missing.into_iter().rev());
            let mut header = tar::Header::new_gnu();
            header.set_mode(mode);
            match content {
                Content::Bytes(bytes) => {
                    header.set_size(bytes.len() as u64);
                    archive.append_data(&mut header, &path, bytes)?;
                }
                Content::File(file) => {
                    let file = fs_err::File::open(file)?;
                    let size = file.metadata()?.len();
                    header.set_size(size);
                    archive.append_data(&mut header, &path, file.take(size))?;
                }
            }
        }
        // An engine makes the directories above a file by itself, but empty ones, and with which mode is its own choice.
        for directory in directories {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(0o755);
            header.set_size(0);
            archive.append_data(&mut header, &directory, io::empty())?;
        }
        let buffer = archive.into_inner()?;
        let mut file = buffer
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        let (answer, sender) = io::pipe()?;
        Ok(Connected {
            way: Way::Upload {
                archive: tokio::fs::File::from_std(file),
                answer: pipe::Sender::from_owned_fd(OwnedFd::from(sender))?,
            },
            answer: fs_err::File::from_parts(OwnedFd::from(answer).into(), "the answer"),
            directory: None,
        })
    }
}

/// Lists the files of a definition.
fn script_files(scripts: &ScriptFiles) -> Result<Vec<(String, u32, Content<'_>)>, SandboxError> {
    let mut files = Vec::new();
    for (path, file) in scripts.iter() {
        if layer::LayerPath::new(path).is_ok_and(|clean| clean.as_bytes() == path.as_bytes()) {
            let mode = if file.executable { 0o755 } else { 0o644 };
            files.push((
                format!("scripts/{path}"),
                mode,
                Content::Bytes(&file.content),
            ));
        } else {
            return Err(SandboxError::Step {
                reason: format!("`{path}` is not a path below the definition"),
            });
        }
    }
    Ok(files)
}

/// Makes a FIFO and opens both ends: the reader waits for a program that has not opened it yet.
#[cfg(target_os = "linux")]
fn fifo(path: &Path) -> io::Result<(fs_err::File, fs_err::File)> {
    use rustix::fs::{CWD, Mode, OFlags, fcntl_getfl, fcntl_setfl, mkfifoat, open};
    mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR)?;
    let flags = OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let reader = open(
        path,
        flags | OFlags::RDONLY | OFlags::NONBLOCK,
        Mode::empty(),
    )?;
    let writer = open(path, flags | OFlags::WRONLY, Mode::empty())?;
    fcntl_setfl(&reader, fcntl_getfl(&reader)? - OFlags::NONBLOCK)?;
    // The default of 64 KiB means twice as many changes of context; what the kernel does not grant is no loss.
    rustix::pipe::fcntl_setpipe_size(&reader, 1 << 20).unwrap_or_default();
    Ok((
        fs_err::File::from_parts(reader.into(), path),
        fs_err::File::from_parts(writer.into(), path),
    ))
}

/// Elsewhere engines are in virtual machines, which no FIFO reaches.
#[cfg(not(target_os = "linux"))]
fn fifo(_path: &Path) -> io::Result<(fs_err::File, fs_err::File)> {
    Err(io::ErrorKind::Unsupported.into())
}
