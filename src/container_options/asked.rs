//! What is typed before the agent about its container.

use std::str::FromStr;

use clap::Args;

use super::{Flags, ValueError, text};

/// Options of the container, and what is done with them.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Container options")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct ContainerOptions {
    /// Docker's options.
    #[command(flatten)]
    pub flags: Flags,
    /// Take options as one text, quoted as in a shell, for what is pasted from a guide for docker.
    #[arg(
        long,
        value_name = "\"OPTIONS\"",
        allow_hyphen_values = true,
        hide_short_help = true
    )]
    pub docker_args: Vec<Pasted>,
    /// Keep the engine's own set of capabilities for root inside, instead of the few that aicage's init needs.
    #[arg(long, hide_short_help = true)]
    pub keep_capabilities: bool,
    /// Leave out the options that are stored for this agent.
    #[arg(long, hide_short_help = true)]
    pub no_stored_options: bool,
    /// Store the container options of this command line for this agent in this project.
    #[arg(long)]
    pub save: bool,
    /// Print the `docker run` line that would do the same, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// Options that came as one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pasted(Box<Flags>);

impl FromStr for Pasted {
    type Err = ValueError;

    fn from_str(whole: &str) -> Result<Self, ValueError> {
        let words = text::split(whole)?;
        // A whole command, as it stands in guides.
        let words = match words.as_slice() {
            [docker, run, rest @ ..]
                if (docker == "docker" || docker == "podman") && run == "run" =>
            {
                rest
            }
            all => all,
        };
        Flags::parse(words)
            .map(|flags| Self(Box::new(flags)))
            .map_err(|what| ValueError {
                what,
                expected: "options of `docker run`, without an image",
            })
    }
}

impl ContainerOptions {
    /// Returns the options of the command line: what is typed on its own wins over what was pasted.
    pub fn typed(&self) -> Flags {
        let pasted = self.docker_args.iter();
        let pasted = pasted.fold(Flags::default(), |first, Pasted(later)| {
            first.overridden_by((**later).clone())
        });
        pasted.overridden_by(self.flags.clone())
    }

    /// Lays the options after `run` over those before it.
    #[must_use]
    pub fn overridden_by(&self, after: Self) -> Self {
        Self {
            flags: self.flags.overridden_by(after.flags),
            docker_args: [self.docker_args.clone(), after.docker_args].concat(),
            keep_capabilities: self.keep_capabilities || after.keep_capabilities,
            no_stored_options: self.no_stored_options || after.no_stored_options,
            save: self.save || after.save,
            dry_run: self.dry_run || after.dry_run,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pasted_gives_way_to_what_is_typed() {
        let options = ContainerOptions {
            flags: Flags::parse(&["--name".to_owned(), "typed".to_owned()]).unwrap(),
            docker_args: vec![
                "docker run --rm -it --name 'pasted' -e 'A=b c'"
                    .parse()
                    .unwrap(),
            ],
            ..ContainerOptions::default()
        };
        assert_eq!(
            options.typed().words(),
            ["--env", "A=b c", "--name", "typed"]
        );
    }

    #[test]
    fn a_text_that_is_not_right_is_told() {
        for (text, says) in [
            ("-e 'A", "the quote before `A` is not closed"),
            ("-e A=1 debian bash", "`debian` stands alone"),
        ] {
            let error = text.parse::<Pasted>().unwrap_err().to_string();
            assert!(error.starts_with(says), "{error}");
        }
    }
}
