//! Work that takes its time, put on a thread of its own, so that an interrupt is heard meanwhile.

use std::panic::resume_unwind;

/// Runs `work` on a thread for blocking work. If whoever waits is dropped, the work goes on until the program ends;
/// nothing that is given here may need more than that.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // Only the end of the runtime cancels such work, and then nobody waits here.
            Err(_cancelled) => std::future::pending().await,
        },
    }
}
