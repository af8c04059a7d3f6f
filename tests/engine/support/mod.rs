//! Engines to test on, and a small image with a shell.

mod engines;
mod ground;
mod image;
mod record;

pub(crate) use self::{
    engines::{PROGRAM, engines, on_each_engine, on_this_machine, program, skip},
    ground::{Ground, is_empty},
    image::{directory, file, image_of, tar_of},
    record::{INTERRUPT_ME, Log, Recorder},
};
