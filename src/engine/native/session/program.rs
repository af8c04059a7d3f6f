//! Another program in a session: a process of ours joins the session's namespaces and becomes it; its streams and its
//! terminal are ours.

use std::{
    ffi::OsString,
    io,
    os::fd::{AsFd as _, OwnedFd},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::{
    failure,
    keeper::{piece, resize, sink, source},
    log::header,
    record::Record,
    signal,
};
use crate::engine::{
    docker::EngineError,
    native::{
        Native,
        cage::{Program, Whose},
        channel::{Channel, Message},
        error::NativeError,
        job::{Beside, Job},
        stage::{BESIDE, NATIVE},
    },
    session::{Bytes, ExecSpec, KILLED, SessionInput, Stream},
};

/// How much waits for whoever reads.
const WAITING: usize = 128 << 10;
/// Longest piece.
const PIECE: usize = 64 << 10;

/// A program that is or was in a session.
#[derive(Debug)]
pub(crate) struct NativeProgram {
    executable: std::path::PathBuf,
    job: Job,
    input: SessionInput,
    running: Mutex<Running>,
    status: Arc<Mutex<Option<i32>>>,
}

#[derive(Debug, Default)]
struct Running {
    channel: Option<Arc<Channel>>,
    terminal: Option<OwnedFd>,
}

impl NativeProgram {
    pub(super) fn new(
        native: &Native,
        record: &Record,
        spec: &ExecSpec,
    ) -> Result<Self, EngineError> {
        let process = record.process.ok_or(NativeError::Vanished)?;
        let mut env = record.env.clone();
        env.extend(spec.env.clone());
        let (uid, gid) = match spec.user.split_once(':') {
            Some((uid, gid)) => (uid.parse(), gid.parse()),
            None => (spec.user.parse(), Ok(record.user.1)),
        };
        let program = Program {
            command: spec.words().into_iter().map(OsString::from).collect(),
            environment: env
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            directory: spec
                .working_dir
                .clone()
                .unwrap_or_else(|| "/".to_owned())
                .into(),
            user: (uid.unwrap_or(record.user.0), gid.unwrap_or(record.user.1)),
            groups: record.groups.clone(),
            terminal: spec.input == SessionInput::Terminal,
            sees_changes: false,
            whose: Whose::Image,
        };
        Ok(Self {
            executable: native.program.clone(),
            job: Job::Beside(Box::new(Beside {
                process,
                program,
                confinement: record.confinement.clone(),
                limits: record.limits.clone(),
            })),
            input: spec.input,
            running: Mutex::default(),
            status: Arc::default(),
        })
    }

    /// Starts it and connects to it.
    pub(crate) async fn start(&self) -> Result<Box<dyn Bytes>, EngineError> {
        let what = "run a program in the session";
        let host = EngineError::host(what);
        let (channel, theirs) = Channel::pair().map_err(&host)?;
        let child = Command::new(&self.executable)
            .args([NATIVE, BESIDE])
            .env_clear()
            .stdin(Stdio::from(theirs.into_descriptor()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(&host)?;
        let mut ours = Vec::new();
        {
            let with = self.streams(&mut ours).map_err(&host)?;
            let job = self.job.to_file().map_err(&host)?;
            let mut all = vec![job.as_fd()];
            all.extend(with.iter().map(|stream| stream.as_fd()));
            channel.send(&Message::Job, &all).map_err(&host)?;
        }
        let channel = Arc::new(channel);
        let ear = Arc::clone(&channel);
        // It says something at once.
        let begun = tokio::task::spawn_blocking(move || begun(&ear)).await;
        let begun = begun.unwrap_or_else(|error| Err(host(io::Error::other(error))))?;
        self.listen(Arc::clone(&channel), child)?;
        let (near, far) = tokio::io::duplex(WAITING);
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.channel = Some(channel);
        if let Some(terminal) = begun {
            running.terminal = Some(terminal.try_clone().map_err(&host)?);
            let output = terminal.try_clone().map_err(&host)?;
            join(far, Some(terminal), vec![(None, output)]).map_err(host)?;
        } else {
            let mut ends = ours.into_iter();
            let input = ends.next().flatten();
            let outputs = [Stream::Stdout, Stream::Stderr]
                .into_iter()
                .zip(ends.flatten())
                .map(|(stream, end)| (Some(stream), end));
            join(far, input, outputs.collect()).map_err(host)?;
        }
        Ok(Box::new(near))
    }

    /// Makes the program's streams where it has no terminal; our ends are added, the program's returned.
    fn streams(&self, ours: &mut Vec<Option<OwnedFd>>) -> io::Result<Vec<OwnedFd>> {
        use rustix::fs::{Mode, OFlags, open};
        let mut theirs = Vec::new();
        match self.input {
            SessionInput::Terminal => return Ok(theirs),
            SessionInput::Pipe => {
                let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
                theirs.push(read);
                ours.push(Some(write));
            }
            SessionInput::Empty => {
                let flags = OFlags::RDONLY | OFlags::CLOEXEC;
                theirs.push(open("/dev/null", flags, Mode::empty())?);
                ours.push(None);
            }
        }
        for _ in 0..2 {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
            theirs.push(write);
            ours.push(Some(read));
        }
        Ok(theirs)
    }

    /// Waits for its end, on a thread of its own.
    fn listen(&self, channel: Arc<Channel>, mut child: Child) -> Result<(), EngineError> {
        let status = Arc::clone(&self.status);
        let wait = move || {
            let ended = loop {
                match channel.receive() {
                    Ok(Some((Message::Ended { status }, _))) => break status,
                    Ok(Some(_)) => {}
                    // Its process was killed, and it with it.
                    Ok(None) | Err(_) => break KILLED,
                }
            };
            *status.lock().unwrap_or_else(PoisonError::into_inner) = Some(ended);
            drop(child.wait());
        };
        let spawned = std::thread::Builder::new()
            .name("program".to_owned())
            .spawn(wait);
        spawned
            .map(drop)
            .map_err(EngineError::host("wait for a program in the session"))
    }

    /// Tells its terminal another size.
    pub(crate) fn resize(&self, size: (u16, u16)) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(terminal) = &running.terminal {
            resize(terminal, size);
        }
    }

    /// Sends it and what it started a signal.
    pub(crate) fn signal(&self, name: &str) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(channel), Some(signal)) = (&running.channel, signal(name)) {
            let number = signal.as_raw();
            // One that has just ended takes none.
            channel
                .send(&Message::Signal { number }, &[])
                .unwrap_or_default();
        }
    }

    /// Returns its exit status; there is none while it runs.
    pub(crate) fn status(&self) -> Option<i32> {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until it runs; returns its terminal, if it has one.
fn begun(channel: &Channel) -> Result<Option<OwnedFd>, EngineError> {
    let mut terminal = None;
    loop {
        let heard = channel
            .receive()
            .map_err(EngineError::host("listen to a program in the session"))?;
        match heard {
            Some((Message::Terminal, mut with)) => terminal = with.pop(),
            Some((Message::Started { .. }, _)) => return Ok(terminal),
            Some((Message::Failed { what, errno }, _)) => return Err(failure(&what, errno)),
            Some(_) => {}
            None => return Err(NativeError::Vanished.into()),
        }
    }
}

/// Connects what is read and printed with one stream, as engines have it: frames where there is a kind.
fn join(
    far: DuplexStream,
    input: Option<OwnedFd>,
    outputs: Vec<(Option<Stream>, OwnedFd)>,
) -> io::Result<()> {
    let (mut from, to) = tokio::io::split(far);
    let to = Arc::new(tokio::sync::Mutex::new(to));
    let mut printing = tokio::task::JoinSet::new();
    for (kind, output) in outputs {
        let (mut output, to) = (source(output)?, Arc::clone(&to));
        printing.spawn(async move {
            let mut buffer = vec![0; PIECE];
            loop {
                let piece = piece(&mut output, &mut buffer).await;
                if piece.is_empty() {
                    return;
                }
                let framed = kind.map(|stream| header(stream, piece.len()));
                let framed = framed.as_ref().map_or(&[][..], |header| header);
                let whole = [framed, piece].concat();
                if to.lock().await.write_all(&whole).await.is_err() {
                    return;
                }
            }
        });
    }
    let input = input.map(sink).transpose()?;
    let typing = tokio::spawn(async move {
        let Some(mut input) = input else { return };
        let mut buffer = vec![0; PIECE];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let typed = buffer.get(..read).unwrap_or_default();
            if input.write_all(typed).await.is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        while printing.join_next().await.is_some() {}
        to.lock().await.shutdown().await.unwrap_or_default();
        typing.abort();
    });
    Ok(())
}
