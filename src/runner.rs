//! The sandbox of this machine, connected when the first step must run.
//!
//! Invariant: a build whose layers are all known needs no container engine.

use std::io::Write;

use assembler::sandbox::{Consume, Sandbox, SandboxError, StepRequest};

use crate::context::Context;

/// Runs steps in the context's engine.
#[derive(Debug)]
pub struct Runner<'a> {
    context: &'a Context,
}

impl<'a> Runner<'a> {
    /// Makes a runner; nothing is connected yet.
    pub fn new(context: &'a Context) -> Self {
        Self { context }
    }
}
impl Sandbox for Runner<'_> {
    fn run(
        &self,
        request: &StepRequest<'_>,
        log: &mut (dyn Write + Send),
        consume: &mut Consume<'_>,
    ) -> Result<(), SandboxError> {
        todo!()
    }
    fn query(
        &self,
        request: &StepRequest<'_>,
        log: &mut (dyn Write + Send),
    ) -> Result<Vec<u8>, SandboxError> {
        todo!()
    }
    fn runner(&self) -> String {
        todo!()
    }
}
