//! Understands `COPY` and `ADD`: their options and where their sources are.

use parse_dockerfile as crate_parser;

use super::{
    parse::{Reader, option_of, unknown_option},
    script::{Archives, CopiedDocument, Copy, Refusal, refuse},
};

impl Reader<'_> {
    pub(crate) fn copy(
        &self,
        (options, sources, to): (
            &[crate_parser::Flag<'_>],
            &[crate_parser::Source<'_>],
            &crate_parser::UnescapedString<'_>,
        ),
        (instruction, line): (&str, usize),
    ) -> Result<Copy, Refusal> {
        let is_add = instruction == "ADD";
        let mut copy = Copy {
            sources: Vec::new(),
            documents: Vec::new(),
            to: to.value.to_string(),
            from: None,
            chown: None,
            chmod: None,
            exclude: Vec::new(),
            archives: if is_add {
                Archives::Unpack
            } else {
                Archives::Copy
            },
        };
        for option in options {
            let (name, value) = option_of(option);
            let owned = value.map(ToOwned::to_owned);
            match (name, &owned) {
                ("from", Some(_)) if !is_add => copy.from = owned,
                ("chown", Some(_)) => copy.chown = owned,
                ("chmod", Some(_)) => copy.chmod = owned,
                ("exclude", Some(value)) => copy.exclude.push(value.clone()),
                // What a layer of its own would change is not seen in the result.
                ("link", None | Some(_)) => {}
                ("unpack", None | Some(_)) if is_add => {
                    copy.archives = match value {
                        Some("false" | "0") => Archives::Copy,
                        _ => Archives::Unpack,
                    };
                }
                ("checksum" | "keep-git-dir", _) if is_add => {
                    return Err(not_fetched(line, &format!("--{name}")));
                }
                _ => {
                    return Err(unknown_option(
                        line,
                        instruction,
                        name,
                        "`--chown=`, `--chmod=`, `--exclude=`, `--link` and, for COPY, `--from=`",
                    ));
                }
            }
        }
        for source in sources {
            match source {
                crate_parser::Source::Path(path) => {
                    if is_remote(&path.value) {
                        return Err(not_fetched(line, &path.value));
                    }
                    copy.sources.push(path.value.to_string());
                }
                crate_parser::Source::HereDoc(document) => {
                    copy.documents.push(self.copied(document));
                }
                _ => {
                    return Err(refuse(
                        line,
                        format!("this source of {instruction} is not known here"),
                        "name files of the build context",
                    ));
                }
            }
        }
        if copy.from.is_some() && !copy.documents.is_empty() {
            return Err(refuse(
                line,
                "COPY --from cannot have a here-document as its source",
                "write a COPY of its own for the here-document",
            ));
        }
        Ok(copy)
    }

    fn copied(&self, document: &crate_parser::HereDoc<'_>) -> CopiedDocument {
        // The parser leaves its name out; it is what stands where the document ends.
        let rest = self.text.get(document.span.end..).unwrap_or_default();
        let name = rest.lines().next().unwrap_or_default();
        CopiedDocument {
            name: name.to_owned(),
            content: document.value.to_string(),
            expand: document.expand,
        }
    }
}

fn not_fetched(line: usize, what: &str) -> Refusal {
    refuse(
        line,
        format!("ADD does not download: `{what}`"),
        "fetch it in a RUN (`RUN curl -fLo FILE URL`, `RUN git clone URL`), or put it beside the Dockerfile and COPY it",
    )
}

/// Says whether a source is an address and not a path.
fn is_remote(source: &str) -> bool {
    const SCHEMES: [&str; 5] = ["http://", "https://", "git://", "ssh://", "git@"];
    SCHEMES.iter().any(|scheme| source.starts_with(scheme))
}
