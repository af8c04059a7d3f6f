//! Options of the container that an agent runs in, with docker's names and meanings.
//!
//! One parser reads them all: typed before the agent, in `--docker-args`, and stored as `docker_args`. Invariant: a value
//! that docker would not take is an error that names option, value and what is expected; nothing is left out silently.

mod asked;
mod csv;
mod decided;
pub mod defaults;
pub mod device;
pub mod docker_run;
mod flags;
pub mod limits;
pub mod mount;
mod naming;
pub mod network;
pub mod ports;
mod refused;
pub mod resolved;
pub mod security;
pub mod stored;
pub mod text;
pub mod variable;
pub mod volume;

pub use asked::ContainerOptions;
pub use decided::decide;
pub use flags::Flags;
pub use refused::why as why_refused;
pub use resolved::Resolved;

/// Why a value is not what its option takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}; expected is {expected}")]
pub struct ValueError {
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub expected: &'static str,
}
