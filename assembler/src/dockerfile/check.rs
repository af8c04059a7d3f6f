//! Looks over a Dockerfile with no image at hand: what is wrong with its lines and its files.
//!
//! Invariant: what is told is wrong whatever the images have. A line that uses a variable which only an image can have
//! set is not judged, nor what comes behind it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    DockerfileBuild, DockerfileError, IMAGE_SO_FAR, needed_images,
    plan::{PlannedStage, plan},
    script::{Refusal, Script, What, refuse},
    stages::{Base, Stages},
};
use crate::{digest::Digest, platform::Platform};

/// Refuses what cannot be built on whatever image. [`DockerfileBuild::images`] is not read.
pub fn check(build: &DockerfileBuild, platform: &Platform) -> Result<(), DockerfileError> {
    planned(build, platform).map(drop)
}

/// Refuses also what lacks a secret, for a build of which all will run.
pub(crate) fn check_to_run(
    build: &DockerfileBuild,
    platform: &Platform,
) -> Result<(), DockerfileError> {
    let stages = planned(build, platform)?.unwrap_or_default();
    let mut groups = stages.values().flat_map(|stage| &stage.groups);
    groups
        .try_for_each(|group| build.check_secrets(group))
        .map_err(|refusal| build.refused(refusal))
}

/// Refuses a Dockerfile whose image is not built on the one that was assembled so far, as all that adds to it must be.
pub fn check_extends(build: &DockerfileBuild, platform: &Platform) -> Result<(), DockerfileError> {
    let script = build.script()?;
    let stages = Stages::of(&script, &build.args, platform, build.target.as_deref())
        .map_err(|refusal| build.refused(refusal))?;
    let (lowest, base) = stages.root();
    if base == &Base::SoFar {
        return Ok(());
    }
    let so_far = build.args.iter().find(|(_, value)| *value == IMAGE_SO_FAR);
    let name = so_far.map_or(IMAGE_SO_FAR, |(name, _)| name);
    Err(build.refused(refuse(
        script.stages[lowest].line,
        "what it makes is not built on the image to extend, and would have nothing of it",
        format!("write `FROM ${{{name}}}` there, with `ARG {name}` before it"),
    )))
}

/// Plans the stages as if their images were here and empty; nothing, if that cannot be done without them.
fn planned(
    build: &DockerfileBuild,
    platform: &Platform,
) -> Result<Option<BTreeMap<usize, PlannedStage>>, DockerfileError> {
    let script = build.script()?;
    build.context.open().map_err(DockerfileError::from)?;
    let nothing = Digest::of(b"");
    let images = needed_images(build, platform)?.into_iter();
    let build = DockerfileBuild {
        images: images.map(|name| (name, nothing)).collect(),
        ..build.clone()
    };
    let stages = Stages::of(&script, &build.args, platform, build.target.as_deref())
        .map_err(|refusal| build.refused(refusal))?;
    match plan(&build, &stages, &BTreeMap::new()) {
        Ok(planned) => Ok(Some(planned)),
        Err(refusal) if is_certain(&build, &script, &refusal) => Err(build.refused(refusal)),
        Err(_) => Ok(None),
    }
}

/// Says whether no variable of the line can have come from an image.
fn is_certain(build: &DockerfileBuild, script: &Script, refusal: &Refusal) -> bool {
    let mut globals = Known::default();
    for (_, arguments) in &script.globals {
        for (name, default) in arguments {
            let given = build.args.contains_key(name);
            if given || default.as_deref().is_some_and(|text| globals.all(text)) {
                globals.learn(name);
            } else {
                globals.0.remove(name);
            }
        }
    }
    let mut known = Known::default();
    let mut stages = script.stages.iter();
    let stage = stages.rfind(|stage| stage.line <= refusal.line);
    let instructions = stage.iter().flat_map(|stage| &stage.instructions);
    for instruction in instructions.take_while(|one| one.line < refusal.line) {
        match &instruction.what {
            What::Arg(arguments) => {
                for (name, default) in arguments {
                    if build.args.contains_key(name)
                        || match default {
                            Some(text) => known.all(text),
                            None => globals.0.contains(name),
                        }
                    {
                        known.learn(name);
                    } else {
                        known.0.remove(name);
                    }
                }
            }
            What::Env(pairs) => {
                for (name, text) in pairs {
                    if known.all(text) {
                        known.learn(name);
                    } else {
                        known.0.remove(name);
                    }
                }
            }
            _ => {}
        }
    }
    let mut text = String::new();
    for line in build.text.lines().skip(refusal.line.saturating_sub(1)) {
        text.push_str(line);
        text.push('\n');
        if !line.trim_end().ends_with(script.escape) {
            break;
        }
    }
    known.all(&text)
}

/// Variables of which the Dockerfile alone decides the value.
#[derive(Default)]
struct Known(BTreeSet<String>);

impl Known {
    fn learn(&mut self, name: &str) {
        self.0.insert(name.to_owned());
    }

    /// Says whether all variables in a text are known.
    fn all(&self, text: &str) -> bool {
        text.split('$').skip(1).all(|after| {
            let after = after.strip_prefix('{').unwrap_or(after);
            let end = after.find(|c: char| !c.is_alphanumeric() && c != '_');
            let name = end.and_then(|end| after.get(..end)).unwrap_or(after);
            name.is_empty() || self.0.contains(name)
        })
    }
}
