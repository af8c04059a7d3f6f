//! What is heard of a step while it runs, and the verdict on it.
//!
//! Invariant: whoever stops reading keeps no script waiting, and whose answer is of no use is stopped.

use std::{
    io::{self, BufReader, Read},
    path::PathBuf,
    thread::ScopedJoinHandle,
    time::Duration,
};

use assembler::sandbox::{CaptureError, SandboxError};
use layer::tar::RecanonicaliseError;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{Hold, Take, answer::Answer, log::Logged};

/// Most that a query's scripts may print.
const QUERY_LIMIT: u64 = 1 << 20;
/// How long a step may take to say why its layer broke off.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How a process ends that was killed.
const KILLED: i32 = 137;

/// What a step answered.
#[derive(Debug)]
pub(crate) struct Heard {
    /// Whether its work was done; not so if there was no answer at all.
    answered: Result<bool, SandboxError>,
    /// Its answer was none that our program would give.
    is_malformed: bool,
}

impl Heard {
    /// Listens until the answer's end; what follows a good one's first line is taken.
    pub(crate) fn listen(answer: fs_err::File, hold: Option<&Hold>, take: &mut Take<'_>) -> Self {
        let mut rest = BufReader::with_capacity(256 << 10, answer);
        let answer = Answer::read(&mut rest);
        if let Some(hold) = hold {
            // From here on the program itself holds the FIFO open, and its end is the answer's.
            hold.let_go();
        }
        let is_malformed = answer.is_err();
        let answered = match answer {
            Ok(Some(Answer::Ok)) => take(&mut rest).map(|()| true),
            Ok(Some(Answer::Failed { script, exit })) => Err(SandboxError::Script {
                script,
                status: exit,
            }),
            Ok(Some(Answer::Refused { message })) => {
                Err(SandboxError::Instruction { reason: message })
            }
            Ok(Some(Answer::Error { message })) => Err(SandboxError::Step { reason: message }),
            Ok(None) => Ok(false),
            Err(reason) => Err(SandboxError::Step { reason }),
        };
        Self {
            answered,
            is_malformed,
        }
    }

    /// Tells whether all of a good answer was taken: nobody needs to wait for what comes then.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self.answered, Ok(true))
    }

    /// Tells whether the layer ended too early, which is how the program inside says that it failed.
    fn broke_off(&self) -> bool {
        let Err(SandboxError::Capture(CaptureError::Layer(error))) = &self.answered else {
            return false;
        };
        matches!(
            error,
            RecanonicaliseError::Read(_) | RecanonicaliseError::NoEnd
        )
    }

    /// Stops a step whose answer is of no use. After an answer that tells of a failure it ends by itself, and what it has
    /// printed is still on the way.
    pub(crate) fn stop_if_useless(&self, runtime: &Handle, stop: &CancellationToken) {
        if self.broke_off() {
            // It is about to say why.
            let stop = stop.clone();
            runtime.spawn(async move {
                tokio::time::sleep(LAST_WORDS).await;
                stop.cancel();
            });
        } else if self.is_malformed || matches!(self.answered, Err(SandboxError::Capture(_))) {
            stop.cancel();
        }
    }

    /// Makes one verdict of what was answered and whether the output was kept: whether the work was done, which how it ended
    /// has to bear out.
    pub(crate) fn judge(
        self,
        logged: Logged,
        interrupt: &CancellationToken,
    ) -> Result<bool, SandboxError> {
        if interrupt.is_cancelled() {
            return Err(SandboxError::Interrupted);
        }
        if self.broke_off()
            && let Some(reason) = logged.last_words
        {
            return Err(SandboxError::Step { reason });
        }
        let is_done = self.answered?;
        logged.outcome.map_err(|source| SandboxError::Log {
            path: PathBuf::from("of the step"),
            source,
        })?;
        Ok(is_done)
    }
}

/// Says how `who` ended before its work was done.
pub(crate) fn unfinished(who: &str, status: i32) -> SandboxError {
    let reason = if status == KILLED {
        format!("{who} was killed; it may have run out of memory")
    } else {
        format!("{who} ended with status {status} before its work was done")
    };
    SandboxError::Step { reason }
}

/// Takes what a query's scripts printed.
pub(crate) fn printed(answer: &mut dyn Read, said: &mut Vec<u8>) -> Result<(), SandboxError> {
    let read = answer.take(QUERY_LIMIT).read_to_end(said);
    let broke_off = |source: io::Error| SandboxError::Step {
        reason: format!("the answer broke off: {source}"),
    };
    read.map(drop).map_err(broke_off)
}

/// Waits for a thread; its panic is ours.
pub(crate) fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
