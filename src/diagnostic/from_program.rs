//! Words for the errors of the program itself.

use super::verdict::{Explain, Verdict};
use crate::printer::PrintError;

impl Explain for PrintError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Stdout(error) => Verdict::system("stdout", error),
            Self::Json(_) => Verdict::failed("json-output"),
        }
    }
}
