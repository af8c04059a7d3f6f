//! Which stages a Dockerfile has, what each is built from, and which are needed.
//!
//! Invariant: a stage is built from earlier ones only, so that building them in order always works.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    IMAGE_SO_FAR,
    expand::{self, Nothing},
    mount, parse,
    script::{Located, Refusal, Script, Stage, What, refuse},
    state::Environment,
};
use crate::platform::Platform;

/// What a stage is built from, or copied from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Base {
    /// Nothing.
    Scratch,
    /// The image that was assembled before the Dockerfile.
    SoFar,
    /// An image by the name that the Dockerfile gives it.
    Image(String),
    /// An earlier stage.
    Stage(usize),
}

/// The stages of a Dockerfile with their bases known.
#[derive(Debug)]
pub(crate) struct Stages<'a> {
    pub(crate) script: &'a Script,
    /// What each stage is built from, in order.
    pub(crate) bases: Vec<Base>,
    /// The stage that is asked for.
    pub(crate) target: usize,
    /// The stages that it needs, itself included.
    pub(crate) needed: BTreeSet<usize>,
    /// Arguments before the first `FROM`, and those that are always there.
    pub(crate) globals: Environment,
    /// What stands for [`IMAGE_SO_FAR`] wherever it is not built from.
    pub(crate) so_far_name: String,
    /// Where the stages of each name are, in order.
    names: BTreeMap<&'a str, Vec<usize>>,
    /// What images leave to whoever builds on them, as far as they were opened.
    left: BTreeMap<Base, Vec<String>>,
}

impl<'a> Stages<'a> {
    /// Resolves names of stages and arguments of `FROM`.
    pub(crate) fn of(
        script: &'a Script,
        arguments: &BTreeMap<String, String>,
        platform: &Platform,
        target: Option<&str>,
    ) -> Result<Self, Refusal> {
        let target_name = target.map(str::to_lowercase);
        let mut globals = platform_arguments(platform, arguments, target_name.as_deref());
        for (line, given) in &script.globals {
            for (name, default) in given {
                let value = match (arguments.get(name), default) {
                    (Some(value), _) => Some(value.clone()),
                    (None, Some(default)) => Some(
                        expand::word(default, &globals, script.escape)
                            .map_err(|reason| bad_word(*line, &reason))?,
                    ),
                    (None, None) => None,
                };
                if let Some(value) = value {
                    globals.set(name, &value);
                }
            }
        }
        let mut stages = Self {
            script,
            bases: Vec::new(),
            target: 0,
            needed: BTreeSet::new(),
            globals,
            so_far_name: IMAGE_SO_FAR.to_owned(),
            names: names_of(script),
            left: BTreeMap::new(),
        };
        for (index, stage) in script.stages.iter().enumerate() {
            let base = stages.base(index, stage, platform)?;
            stages.bases.push(base);
        }
        stages.target = match &target_name {
            None => script.stages.len() - 1,
            Some(name) => stages.index_of(name, script.stages.len()).ok_or_else(|| {
                let line = script.stages.first().map_or(1, |stage| stage.line);
                refuse(line, format!("there is no stage `{name}`"), stages.known())
            })?,
        };
        stages.need(stages.target)?;
        Ok(stages)
    }

    /// Returns the stage that the target is built up from, and what that one is built from.
    pub(crate) fn root(&self) -> (usize, &Base) {
        let mut index = self.target;
        // Stages are built from earlier ones only.
        while let Base::Stage(below) = &self.bases[index] {
            index = *below;
        }
        (index, &self.bases[index])
    }

    fn base(&self, index: usize, stage: &Stage, platform: &Platform) -> Result<Base, Refusal> {
        let expanded = |word: &str| {
            expand::word(word, &self.globals, self.script.escape)
                .map_err(|reason| bad_word(stage.line, &reason))
        };
        if let Some(wanted) = &stage.platform {
            let wanted = expanded(wanted)?;
            let with_system = if wanted.contains('/') {
                wanted.clone()
            } else {
                format!("linux/{wanted}")
            };
            let fits = with_system
                .parse::<Platform>()
                .is_ok_and(|wanted| platform.rank(&wanted).is_some());
            if !fits {
                return Err(refuse(
                    stage.line,
                    format!(
                        "FROM --platform={wanted} is another platform than {platform}, which is built for"
                    ),
                    "leave --platform out, or write `--platform=$TARGETPLATFORM`",
                ));
            }
        }
        let name = expanded(&stage.base)?;
        match name.as_str() {
            "" => Err(refuse(
                stage.line,
                format!("FROM `{}` is empty", stage.base),
                "give the argument a default with ARG before the first FROM",
            )),
            "scratch" => Ok(Base::Scratch),
            IMAGE_SO_FAR => Ok(Base::SoFar),
            name if name.contains(IMAGE_SO_FAR) => Err(refuse(
                stage.line,
                format!(
                    "FROM `{}` changes the name of the image to build on",
                    stage.base
                ),
                "write the argument alone: that image is here and in no registry",
            )),
            name => Ok(self
                .index_of(&name.to_lowercase(), index)
                .map_or_else(|| Base::Image(name.to_owned()), Base::Stage)),
        }
    }

    /// Finds a stage before `end` by its name, the last of them, or by its number.
    fn index_of(&self, name: &str, end: usize) -> Option<usize> {
        let mut named = self.names.get(name).into_iter().flatten().copied();
        named
            .rfind(|index| *index < end)
            .or_else(|| name.parse().ok().filter(|index| *index < end))
    }

    /// Resolves what `--from=` and `from=` of a stage name.
    pub(crate) fn source(&self, from: &str, index: usize, line: usize) -> Result<Base, Refusal> {
        if expand::word(from, &Nothing, self.script.escape).as_deref() != Ok(from) {
            return Err(refuse(
                line,
                format!("`from={from}` has a variable, which is not expanded there"),
                "write `FROM $VARIABLE AS name` before, and `from=name`",
            ));
        }
        match self.index_of(&from.to_lowercase(), self.script.stages.len()) {
            Some(found) if found < index => return Ok(Base::Stage(found)),
            // Also where an earlier stage has the name: it is the last one's.
            Some(_) => {
                return Err(refuse(
                    line,
                    format!("stage `{from}` is not there yet"),
                    "put the stage before the one that copies from it",
                ));
            }
            None => {}
        }
        if from.parse::<usize>().is_ok() {
            return Err(refuse(
                line,
                format!("there is no stage {from}"),
                self.known(),
            ));
        }
        match from {
            "scratch" => Ok(Base::Scratch),
            from => Ok(Base::Image(from.to_owned())),
        }
    }

    /// Says which stages there are.
    pub(crate) fn known(&self) -> String {
        let names: Vec<&str> = self
            .script
            .stages
            .iter()
            .filter_map(|stage| stage.name.as_deref())
            .collect();
        match names.as_slice() {
            [] => format!(
                "there are {} stages, without names",
                self.script.stages.len()
            ),
            names => format!("the stages are {}", names.join(", ")),
        }
    }

    /// Takes what an image leaves to whoever builds on it, which may need more stages.
    pub(crate) fn leave(&mut self, image: &Base, triggers: Vec<String>) -> Result<(), Refusal> {
        if triggers.is_empty() {
            return Ok(());
        }
        self.left.insert(image.clone(), triggers);
        let needed = std::mem::take(&mut self.needed);
        needed.into_iter().try_for_each(|index| self.need(index))
    }

    /// Says that the image that a stage is built from was not brought.
    pub(crate) fn no_image(&self, name: &str, line: usize) -> Refusal {
        if self.left.is_empty() {
            let reason = format!("there is no stage `{name}`, nor an image of that name");
            return refuse(line, reason, self.known());
        }
        refuse(
            line,
            format!("only ONBUILD of a base image needs this stage, and `{name}` was not fetched"),
            "have the last stage copy or mount something from this one itself",
        )
    }

    fn need(&mut self, index: usize) -> Result<(), Refusal> {
        let mut ahead = vec![index];
        while let Some(index) = ahead.pop() {
            if !self.needed.insert(index) {
                continue;
            }
            let sources = self.sources_of(index)?;
            ahead.extend(sources.into_iter().filter_map(|base| match base {
                Base::Stage(stage) => Some(stage),
                _ => None,
            }));
        }
        Ok(())
    }

    /// Lists what a stage needs: its base, and what it copies and mounts from.
    pub(crate) fn sources_of(&self, index: usize) -> Result<Vec<Base>, Refusal> {
        let mut sources: Vec<Base> = self.bases.get(index).cloned().into_iter().collect();
        let Some(stage) = self.script.stages.get(index) else {
            return Ok(sources);
        };
        for instruction in self.triggers_and_instructions(index, stage)? {
            let froms: Vec<String> = match &instruction.what {
                What::Copy(copy) => copy.from.iter().cloned().collect(),
                What::Run(run) => run
                    .mounts
                    .iter()
                    .filter_map(|text| mount::from_of(text))
                    .collect(),
                _ => Vec::new(),
            };
            for from in froms {
                sources.push(self.source(&from, index, instruction.line)?);
            }
        }
        Ok(sources)
    }

    /// Lists a stage's instructions behind what its base left to it.
    fn triggers_and_instructions(
        &self,
        index: usize,
        stage: &Stage,
    ) -> Result<Vec<Located>, Refusal> {
        let mut all = Vec::new();
        match self.bases.get(index) {
            Some(Base::Stage(below)) => {
                let below = self.script.stages.get(*below);
                for instruction in below.iter().flat_map(|below| &below.instructions) {
                    if let What::OnBuild(text) = &instruction.what {
                        all.extend(trigger(text, stage.line)?);
                    }
                }
            }
            Some(image) => {
                for text in self.left.get(image).into_iter().flatten() {
                    all.extend(trigger(text, stage.line)?);
                }
            }
            None => {}
        }
        all.extend(stage.instructions.iter().cloned());
        Ok(all)
    }
}

fn names_of(script: &Script) -> BTreeMap<&str, Vec<usize>> {
    let mut names: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, stage) in script.stages.iter().enumerate() {
        if let Some(name) = &stage.name {
            names.entry(name).or_default().push(index);
        }
    }
    names
}

/// Understands what an image or a stage left to whoever builds on it.
pub(crate) fn trigger(text: &str, line: usize) -> Result<Vec<Located>, Refusal> {
    let script = parse::parse(&format!("FROM scratch\n{text}\n")).map_err(|refusal| Refusal {
        line,
        reason: format!("the base image has ONBUILD `{text}`: {}", refusal.reason),
        instead: refusal.instead,
    })?;
    Ok(script
        .stages
        .into_iter()
        .flat_map(|stage| stage.instructions)
        .map(|instruction| Located {
            line,
            ..instruction
        })
        .collect())
}

/// Names a word that cannot be expanded.
pub(crate) fn bad_word(line: usize, reason: &str) -> Refusal {
    refuse(
        line,
        reason,
        "write `$name`, `${name}`, or `${name:-default}`; `\\$` is a plain dollar",
    )
}

fn platform_arguments(
    platform: &Platform,
    arguments: &BTreeMap<String, String>,
    target: Option<&str>,
) -> Environment {
    let mut globals = Environment::default();
    let variant = platform.variant.as_deref().unwrap_or_default();
    let full = platform.to_string();
    for side in ["BUILD", "TARGET"] {
        for (name, value) in [
            ("PLATFORM", full.as_str()),
            ("OS", &platform.os),
            ("OSVERSION", ""),
            ("ARCH", &platform.architecture),
            ("VARIANT", variant),
        ] {
            let name = format!("{side}{name}");
            let value = arguments.get(&name).map_or(value, String::as_str);
            globals.set(&name, value);
        }
    }
    globals.set("TARGETSTAGE", target.unwrap_or("default"));
    globals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stages_of(text: &str, target: Option<&str>) -> Result<(Vec<Base>, Vec<usize>), Refusal> {
        let script = parse::parse(text).unwrap();
        let arguments = BTreeMap::from([
            ("BASE".to_owned(), IMAGE_SO_FAR.to_owned()),
            ("V".to_owned(), "9".to_owned()),
        ]);
        let stages = Stages::of(&script, &arguments, &Platform::linux("amd64"), target)?;
        Ok((stages.bases.clone(), stages.needed.into_iter().collect()))
    }

    #[test]
    fn only_what_the_target_needs_is_built() {
        let text = "ARG BASE\nARG V=1\nFROM debian:$V AS a\nFROM a AS b\nRUN --mount=type=bind,from=0,target=/x y\n\
                    FROM x AS unused\nCOPY --from=1 /a /b\nFROM $BASE\nCOPY --from=B /a /b\nCOPY --from=busybox /a /b\n";
        let (bases, needed) = stages_of(text, None).unwrap();
        assert_eq!(
            bases,
            [
                Base::Image("debian:9".to_owned()),
                Base::Stage(0),
                Base::Image("x".to_owned()),
                Base::SoFar
            ]
        );
        assert_eq!(needed, [0, 1, 3]);
        assert_eq!(stages_of(text, Some("A")).unwrap().1, [0]);
    }

    #[test]
    fn of_two_stages_with_one_name_the_last_is_taken() {
        let text = "FROM a AS x\nFROM b AS X\nFROM x AS y\nFROM c\nCOPY --from=x /a /b\n";
        let (bases, needed) = stages_of(text, None).unwrap();
        assert_eq!(bases[2], Base::Stage(1));
        assert_eq!(needed, [1, 3]);
        assert_eq!(stages_of(text, Some("x")).unwrap().1, [1]);
        let later = "FROM a AS x\nFROM b\nCOPY --from=x /a /b\nFROM c AS x\n";
        let refusal = stages_of(later, Some("1")).expect_err("the last `x` is below");
        assert_eq!(
            (refusal.line, refusal.reason.as_str()),
            (3, "stage `x` is not there yet")
        );
    }

    #[test]
    fn a_long_chain_of_stages_is_followed_without_a_deep_stack() {
        let chain: Vec<String> = (0..50_000).map(|below| format!("FROM {below}\n")).collect();
        let text = format!("FROM a\n{}", chain.concat());
        assert_eq!(stages_of(&text, None).unwrap().1.len(), 50_001);
    }

    #[test]
    fn missing_and_later_stages_and_other_platforms_are_refused() {
        for (text, target, line, part) in [
            ("FROM a\nCOPY --from=7 /a /b\n", None, 2, "no stage 7"),
            (
                "FROM a AS x\nCOPY --from=y /a /b\nFROM x AS y\n",
                Some("x"),
                2,
                "not there yet",
            ),
            ("FROM a AS x\n", Some("z"), 1, "the stages are x"),
            ("ARG A\nFROM $A\n", None, 2, "default"),
            (
                "FROM --platform=linux/s390x a\n",
                None,
                1,
                "$TARGETPLATFORM",
            ),
            ("FROM a\nCOPY --from=$V /a /b\n", None, 2, "variable"),
        ] {
            let refusal = stages_of(text, target).expect_err(text);
            let said = format!("{} {}", refusal.reason, refusal.instead);
            assert_eq!(refusal.line, line, "{said}");
            assert!(said.contains(part), "{said}");
        }
        assert!(stages_of("FROM --platform=$BUILDPLATFORM a\n", None).is_ok());
        assert!(stages_of("FROM --platform=amd64 a\n", None).is_ok());
    }
}
