//! From a Dockerfile's text to its stages: what each line says, before any variable is known.
//!
//! The grammar is the crate `parse_dockerfile`'s; here its answer loses its spans, and everything that this program does
//! not do is refused with its line. Line ends are those of Unix whatever the file has.
//!
//! Invariant: what comes out was understood whole; no option and no instruction was passed over.

use std::collections::BTreeMap;

use parse_dockerfile::{self as crate_parser, Instruction as Parsed};

use super::{
    heredoc::{self, Heredoc},
    lines,
    script::{Argument, Command, Healthcheck, Located, Refusal, Run, Script, Stage, What, refuse},
};

const INSTRUCTIONS: &str = "the instructions are ADD, ARG, CMD, COPY, ENTRYPOINT, ENV, EXPOSE, FROM, HEALTHCHECK, LABEL, \
MAINTAINER, ONBUILD, RUN, SHELL, STOPSIGNAL, USER, VOLUME and WORKDIR";

/// Understands a Dockerfile.
pub(crate) fn parse(text: &str) -> Result<Script, Refusal> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.replace("\r\n", "\n");
    if let Some(at) = text.find(|c: char| c.is_control() && !"\n\t\r\u{b}\u{c}".contains(c)) {
        let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        return Err(refuse(
            line,
            "there is a control character",
            "write text; a Dockerfile is UTF-8",
        ));
    }
    let escape = escape_of(&text)?;
    let extracted = heredoc::extract(&text, escape).map_err(|open| {
        refuse(
            open.line,
            format!("the here-document `{}` has no end", open.name),
            format!("put a line that is just `{}` behind it", open.name),
        )
    })?;
    let reader = Reader {
        text: &extracted.text,
        lines: extracted
            .text
            .match_indices('\n')
            .map(|(at, _)| at)
            .collect(),
        escape,
        documents: &extracted.documents,
    };
    let refused = |error: crate_parser::Error| {
        not_parsed(
            &extracted.text,
            (error.line().max(1), &format!("{error:#}")),
        )
    };
    let mut globals = Vec::new();
    let mut stages: Vec<Stage> = Vec::new();
    // One by one: a file may have two stages of one name, which the parser refuses when it is asked for all.
    for instruction in crate_parser::parse_iter(&extracted.text).map_err(refused)? {
        let instruction = instruction.map_err(refused)?;
        match (&instruction, stages.last_mut()) {
            (Parsed::From(from), _) => stages.push(reader.stage(from)?),
            (Parsed::Arg(argument), None) => {
                let line = reader.line(argument.arg.span.start);
                globals.push((line, reader.arguments(&argument.arguments.value, line)?));
            }
            (_, Some(stage)) => stage.instructions.push(reader.instruction(&instruction)?),
            (_, None) => return Err(not_parsed(&extracted.text, (1, "expected FROM"))),
        }
    }
    Ok(Script {
        escape,
        globals,
        stages,
    })
}

/// Gives what the parser says the way round that fits it.
fn not_parsed(text: &str, (line, reason): (usize, &str)) -> Refusal {
    let written = text.lines().nth(line - 1).unwrap_or_default();
    let word = written.split_whitespace().next().unwrap_or_default();
    let rest = written.trim_start().get(word.len()..).unwrap_or_default();
    let is_known = INSTRUCTIONS
        .split([' ', ','])
        .any(|known| known.eq_ignore_ascii_case(word));
    let is_empty_list = rest.split_whitespace().collect::<String>() == "[]";
    if is_empty_list && word.eq_ignore_ascii_case("ENTRYPOINT") {
        refuse(
            line,
            "an ENTRYPOINT without words is not done",
            "leave it out: an agent's image gets an entrypoint of its own",
        )
    } else if is_known {
        refuse(
            line,
            reason,
            format!("correct the {} there", word.to_uppercase()),
        )
    } else {
        refuse(line, reason, INSTRUCTIONS)
    }
}

/// Reads `# escape=`, which the here-documents need before the parser has been at work.
fn escape_of(text: &str) -> Result<char, Refusal> {
    for (index, line) in text.lines().enumerate() {
        let Some((name, value)) = line
            .trim()
            .strip_prefix('#')
            .and_then(|line| line.split_once('='))
        else {
            break;
        };
        if !name.trim().chars().all(|c| c.is_ascii_alphanumeric()) {
            break;
        }
        if name.trim().eq_ignore_ascii_case("escape") {
            return match value.trim() {
                "\\" => Ok('\\'),
                "`" => Ok('`'),
                other => Err(refuse(
                    index + 1,
                    format!("`{other}` cannot be the escape character"),
                    "write `# escape=\\` or `# escape=`` (a backquote)",
                )),
            };
        }
    }
    Ok('\\')
}

pub(crate) struct Reader<'a> {
    pub(crate) text: &'a str,
    /// Where its lines end.
    lines: Vec<usize>,
    escape: char,
    documents: &'a BTreeMap<usize, Vec<Heredoc>>,
}

impl Reader<'_> {
    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|end| *end < at) + 1
    }

    fn stage(&self, from: &crate_parser::FromInstruction<'_>) -> Result<Stage, Refusal> {
        let line = self.line(from.from.span.start);
        let mut platform = None;
        for option in &from.options {
            let (name, value) = option_of(option);
            if name != "platform" || value.is_none() {
                return Err(unknown_option(line, "FROM", name, "`--platform=`"));
            }
            platform = value.map(ToOwned::to_owned);
        }
        let name = from.as_.as_ref().map(|(_, name)| name.value.to_lowercase());
        if let Some(name) = &name {
            let mut chars = name.chars();
            let fits = chars.next().is_some_and(|c| c.is_ascii_lowercase())
                && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c));
            if !fits {
                return Err(refuse(
                    line,
                    format!("`{name}` cannot be the name of a stage"),
                    "begin it with a letter; then letters, digits, `-`, `_` and `.`",
                ));
            }
        }
        Ok(Stage {
            line,
            base: from.image.value.to_string(),
            name,
            platform,
            instructions: Vec::new(),
        })
    }

    fn instruction(&self, instruction: &Parsed<'_>) -> Result<Located, Refusal> {
        use Parsed as I;
        let at = start_of(instruction);
        let line = self.line(at);
        let what = match instruction {
            I::Arg(arg) => What::Arg(self.arguments(&arg.arguments.value, line)?),
            I::Env(env) => What::Env(self.pairs(&env.arguments.value, ("ENV", line))?),
            I::Label(label) => What::Label(self.pairs(&label.arguments.value, ("LABEL", line))?),
            I::Run(run) => What::Run(self.run(run, line)?),
            I::Copy(copy) => {
                What::Copy(self.copy((&copy.options, &copy.src, &copy.dest), ("COPY", line))?)
            }
            I::Add(add) => {
                What::Copy(self.copy((&add.options, &add.src, &add.dest), ("ADD", line))?)
            }
            I::Workdir(workdir) => What::Workdir(workdir.arguments.value.to_string()),
            I::User(user) => What::User(user.arguments.value.to_string()),
            I::Shell(shell) => What::Shell(
                shell
                    .arguments
                    .iter()
                    .map(|word| word.value.to_string())
                    .collect(),
            ),
            I::Entrypoint(entry) => What::Entrypoint(self.command(&entry.arguments)),
            I::Cmd(cmd) => What::Cmd(self.command(&cmd.arguments)),
            I::Expose(expose) => What::Expose(
                expose
                    .arguments
                    .iter()
                    .map(|word| word.value.to_string())
                    .collect(),
            ),
            I::Volume(volume) => What::Volume(match &volume.arguments {
                crate_parser::JsonOrStringArray::Json(words) => words
                    .value
                    .iter()
                    .map(|word| word.value.to_string())
                    .collect(),
                crate_parser::JsonOrStringArray::String(words) => {
                    words.iter().map(|word| word.value.to_string()).collect()
                }
            }),
            I::Stopsignal(signal) => What::StopSignal(signal.arguments.value.to_string()),
            I::Healthcheck(check) => What::Healthcheck(self.healthcheck(check, line)?),
            I::Maintainer(maintainer) => What::Maintainer(maintainer.name.value.to_string()),
            I::Onbuild(onbuild) => What::OnBuild(self.on_build(onbuild, line)?),
            _ => {
                return Err(refuse(
                    line,
                    "this instruction is not known here",
                    INSTRUCTIONS,
                ));
            }
        };
        Ok(Located {
            line,
            summary: self.summary(at),
            what,
        })
    }

    /// Returns the beginning of an instruction, on one line.
    fn summary(&self, at: usize) -> String {
        let text = self.text.get(at..).unwrap_or_default();
        let joined = heredoc::unmark(&lines::join(text, self.escape));
        let words: Vec<&str> = joined.split_whitespace().collect();
        let mut summary = words.join(" ");
        if let Some((cut, _)) = summary.char_indices().nth(60) {
            summary.truncate(cut);
            summary.push('…');
        }
        summary
    }

    fn arguments(&self, text: &str, line: usize) -> Result<Vec<Argument>, Refusal> {
        lines::split_words(text, self.escape)
            .into_iter()
            .map(|word| {
                let (name, value) = match word.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => (word, None),
                };
                if name.is_empty() {
                    return Err(refuse(
                        line,
                        "ARG has no name before `=`",
                        "write `ARG name` or `ARG name=value`",
                    ));
                }
                Ok((name, value))
            })
            .collect()
    }

    fn pairs(
        &self,
        text: &str,
        (instruction, line): (&str, usize),
    ) -> Result<Vec<(String, String)>, Refusal> {
        let instead = format!("write `{instruction} name=value`");
        let words = lines::split_words(text, self.escape);
        if words.first().is_none_or(|first| !first.contains('=')) {
            // The old form: a name, and all the rest is the value.
            return match text.trim().split_once(char::is_whitespace) {
                Some((name, value)) => Ok(vec![(name.to_owned(), value.trim_start().to_owned())]),
                None => Err(refuse(
                    line,
                    format!("{instruction} `{}` has no value", text.trim()),
                    instead,
                )),
            };
        }
        words
            .into_iter()
            .map(|word| match word.split_once('=') {
                Some(("", _)) => Err(refuse(
                    line,
                    format!("{instruction} has no name before `=`"),
                    instead.clone(),
                )),
                Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
                None => Err(refuse(
                    line,
                    format!("{instruction} has `{word}` without a `=`"),
                    format!("{instead}; a value with spaces needs quotes"),
                )),
            })
            .collect()
    }

    fn command(&self, command: &crate_parser::Command<'_>) -> Command {
        match command {
            crate_parser::Command::Exec(words) => Command::Exec(
                words
                    .value
                    .iter()
                    .map(|word| word.value.to_string())
                    .collect(),
            ),
            crate_parser::Command::Shell(text) => {
                Command::Shell(heredoc::unmark(&lines::join(text.value, self.escape)))
            }
            _ => Command::Shell(String::new()),
        }
    }

    fn run(&self, run: &crate_parser::RunInstruction<'_>, line: usize) -> Result<Run, Refusal> {
        let mut mounts = Vec::new();
        let mut network = None;
        for option in &run.options {
            match option_of(option) {
                ("mount", Some(value)) => mounts.push(value.to_owned()),
                ("network", Some(value)) => network = Some(value.to_owned()),
                ("security", Some("sandbox")) => {}
                ("security", _) => {
                    return Err(refuse(
                        line,
                        "RUN --security=insecure is not done: a step never gets more rights than a container has",
                        "leave the option out, or do on the host what needs those rights and COPY the result",
                    ));
                }
                (name, _) => {
                    return Err(unknown_option(
                        line,
                        "RUN",
                        name,
                        "`--mount=` and `--network=`",
                    ));
                }
            }
        }
        let command = self.command(&run.arguments);
        if matches!(&command, Command::Shell(text) if text.is_empty()) {
            return Err(refuse(
                line,
                "RUN has nothing to run",
                "write a command behind it",
            ));
        }
        Ok(Run {
            command,
            documents: self.documents.get(&line).cloned().unwrap_or_default(),
            mounts,
            network,
        })
    }

    fn healthcheck(
        &self,
        check: &crate_parser::HealthcheckInstruction<'_>,
        line: usize,
    ) -> Result<Healthcheck, Refusal> {
        let mut result = Healthcheck::default();
        for option in &check.options {
            match option_of(option) {
                (
                    name @ ("interval" | "timeout" | "start-period" | "start-interval" | "retries"),
                    Some(value),
                ) => {
                    result.options.insert(name.to_owned(), value.to_owned());
                }
                (name, _) => {
                    return Err(unknown_option(
                        line,
                        "HEALTHCHECK",
                        name,
                        "`--interval=`, `--timeout=`, `--start-period=`, `--start-interval=` and `--retries=`",
                    ));
                }
            }
        }
        if let crate_parser::HealthcheckArguments::Cmd { arguments, .. } = &check.arguments {
            let command = self.command(arguments);
            if matches!(&command, Command::Shell(text) if text.is_empty()) {
                return Err(refuse(
                    line,
                    "HEALTHCHECK CMD has no command",
                    "write a command behind CMD",
                ));
            }
            result.command = Some(command);
        }
        Ok(result)
    }

    fn on_build(
        &self,
        onbuild: &crate_parser::OnbuildInstruction<'_>,
        line: usize,
    ) -> Result<String, Refusal> {
        use Parsed as I;
        let forbidden = match &*onbuild.instruction {
            I::From(_) => Some("FROM"),
            I::Maintainer(_) => Some("MAINTAINER"),
            I::Onbuild(_) => Some("ONBUILD"),
            _ => None,
        };
        if let Some(name) = forbidden {
            return Err(refuse(
                line,
                format!("ONBUILD {name} is not allowed"),
                "put another instruction behind ONBUILD",
            ));
        }
        let rest = self
            .text
            .get(onbuild.onbuild.span.end..)
            .unwrap_or_default();
        let expression = lines::join(rest, self.escape).trim().to_owned();
        if lines::split_words(&expression, self.escape)
            .iter()
            .any(|word| word.starts_with("<<"))
        {
            return Err(refuse(
                line,
                "ONBUILD with a here-document is not done",
                "COPY a script and run it",
            ));
        }
        // Its mistakes are the author's, not those of whoever builds on it.
        self.instruction(&onbuild.instruction)?;
        Ok(expression)
    }
}

pub(crate) fn option_of<'a>(option: &'a crate_parser::Flag<'_>) -> (&'a str, Option<&'a str>) {
    let value = option.value.as_ref().map(|value| &*value.value);
    (&option.name.value, value)
}

pub(crate) fn unknown_option(line: usize, instruction: &str, name: &str, known: &str) -> Refusal {
    refuse(
        line,
        format!("{instruction} --{name} is not done here"),
        format!("{instruction} has the options {known}"),
    )
}

fn start_of(instruction: &Parsed<'_>) -> usize {
    use Parsed as I;
    let span = match instruction {
        I::Add(i) => &i.add.span,
        I::Arg(i) => &i.arg.span,
        I::Cmd(i) => &i.cmd.span,
        I::Copy(i) => &i.copy.span,
        I::Entrypoint(i) => &i.entrypoint.span,
        I::Env(i) => &i.env.span,
        I::Expose(i) => &i.expose.span,
        I::From(i) => &i.from.span,
        I::Healthcheck(i) => &i.healthcheck.span,
        I::Label(i) => &i.label.span,
        I::Maintainer(i) => &i.maintainer.span,
        I::Onbuild(i) => &i.onbuild.span,
        I::Run(i) => &i.run.span,
        I::Shell(i) => &i.shell.span,
        I::Stopsignal(i) => &i.stopsignal.span,
        I::User(i) => &i.user.span,
        I::Volume(i) => &i.volume.span,
        I::Workdir(i) => &i.workdir.span,
        _ => return 0,
    };
    span.start
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> What {
        let script = parse(&format!("FROM a\n{text}\n")).unwrap();
        script.stages[0].instructions[0].what.clone()
    }

    #[track_caller]
    fn check_refused(text: &str, line: usize, part: &str) {
        let refusal = parse(text).expect_err(text);
        assert_eq!(refusal.line, line, "{text}: {refusal:?}");
        let said = format!("{} ({})", refusal.reason, refusal.instead);
        assert!(said.contains(part), "{text}: {said}");
        assert!(!refusal.instead.is_empty(), "{text}");
    }

    #[test]
    fn what_is_not_done_is_refused_with_its_line_and_a_way_round() {
        check_refused("FROM a\nFOO bar\n", 2, "FOO");
        check_refused("FROM a\n\n# x\nADD https://a.example/x /\n", 4, "RUN curl");
        check_refused("FROM a\nADD git@github.com:a/b.git /x\n", 2, "git clone");
        check_refused("FROM a\nRUN --security=insecure x\n", 2, "COPY the result");
        check_refused("FROM a\nRUN --device=x y\n", 2, "--device");
        check_refused("FROM a\nCOPY --parents a /b\n", 2, "--parents");
        check_refused("FROM a\nCOPY a\n", 2, "at least two");
        check_refused("RUN x\n", 1, "FROM");
        check_refused("# nothing\n", 1, "FROM");
        check_refused("FROM a\nENV A=1 B\n", 2, "without a `=`");
        check_refused("FROM a\nENV A\n", 2, "no value");
        check_refused("FROM a\nRUN <<EOF\nx\n", 2, "just `EOF`");
        check_refused("FROM a AS 1x\n", 1, "letter");
        check_refused("# escape=x\nFROM a\n", 1, "escape");
        check_refused("FROM a\nONBUILD FROM b\n", 2, "ONBUILD FROM");
        check_refused("FROM a\nHEALTHCHECK --every=3 CMD x\n", 2, "--interval=");
        check_refused("FROM a\nRUN a\u{0}b\n", 2, "control");
        check_refused("FROM a\nSHELL bash -c\n", 2, "JSON");
        check_refused("FROM a\nSHELL bash -c\n", 2, "correct the SHELL");
        check_refused("FROM a\nENTRYPOINT []\n", 2, "leave it out");
        check_refused("FROM a\nFOO bar\n", 2, "the instructions are");
    }

    #[test]
    fn commands_are_joined_and_here_documents_come_with_them() {
        let What::Run(run) = only("RUN --mount=type=tmpfs,target=/t a && \\\n  # no\n  b") else {
            panic!("no RUN");
        };
        assert_eq!(run.command, Command::Shell("a &&   b".to_owned()));
        assert_eq!(run.mounts, ["type=tmpfs,target=/t"]);
        let What::Run(run) = only("RUN python3 <<EOF >/x\nprint()\nEOF") else {
            panic!("no RUN");
        };
        assert_eq!(run.command, Command::Shell("python3 <<EOF >/x".to_owned()));
        assert_eq!(run.documents[0].content, "print()\n");
        let What::Copy(copy) = only("COPY <<a <<-\"b\" /d/\n$x\na\n\ty$x\n\tb") else {
            panic!("no COPY");
        };
        let names: Vec<_> = copy
            .documents
            .iter()
            .map(|document| (&*document.name, &*document.content, document.expand))
            .collect();
        assert_eq!(names, [("a", "$x\n", true), ("b", "y$x\n", false)]);
    }

    #[test]
    fn line_ends_and_a_mark_of_byte_order_do_not_matter() {
        let script =
            parse("\u{feff}FROM a\r\nRUN a \\\r\n b\r\nCOPY <<E /x\r\nline\r\nE\r\n").unwrap();
        let What::Run(run) = &script.stages[0].instructions[0].what else {
            panic!("no RUN");
        };
        assert_eq!(run.command, Command::Shell("a  b".to_owned()));
        let What::Copy(copy) = &script.stages[0].instructions[1].what else {
            panic!("no COPY");
        };
        assert_eq!(copy.documents[0].content, "line\n");
        assert_eq!(script.stages[0].instructions[1].line, 4);
    }

    #[test]
    fn another_escape_character_joins_lines() {
        let script =
            parse("# syntax=docker/dockerfile:1\n# escape=`\nFROM a\nRUN a `\n b\\c\n").unwrap();
        let What::Run(run) = &script.stages[0].instructions[0].what else {
            panic!("no RUN");
        };
        assert_eq!(run.command, Command::Shell("a  b\\c".to_owned()));
    }

    #[test]
    fn names_and_values_come_in_both_forms() {
        let What::Env(pairs) = only("ENV A=\"b c\" D=e\\ f") else {
            panic!("no ENV");
        };
        assert_eq!(
            pairs,
            [
                ("A".into(), "\"b c\"".into()),
                ("D".into(), "e\\ f".to_owned())
            ]
        );
        let What::Env(pairs) = only("ENV A b  c=d") else {
            panic!("no ENV");
        };
        assert_eq!(pairs, [("A".to_owned(), "b  c=d".to_owned())]);
    }

    #[test]
    fn onbuild_keeps_its_words() {
        let What::OnBuild(text) = only("ONBUILD RUN a \\\n  b") else {
            panic!("no ONBUILD");
        };
        assert_eq!(text, "RUN a   b");
    }
}
