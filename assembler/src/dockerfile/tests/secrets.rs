//! What Dockerfiles are given and nothing keeps: secrets and proxies.

use super::super::{bench::*, *};
use crate::{
    foresee::foresee,
    instruction::Secret,
    provenance::Kind,
    recipe::{Addition, Step},
};

#[test]
fn a_secret_is_given_and_decides_nothing() {
    let bench = Bench::new();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), "hush").unwrap();
    let text = "RUN --mount=type=secret,id=s use\n";
    let mut build = build_of(text);
    build.secrets.insert(
        "s".to_owned(),
        SecretSource::File(SecretFile::new(file.path())),
    );
    assert_eq!(
        bench.ran(build.clone()),
        ["[/run/secrets/s secret hush]; -@/ /bin/sh -c use"]
    );
    fs_err::write(file.path(), "other").unwrap();
    assert!(
        bench.ran(build).is_empty(),
        "another secret is the same step"
    );
}

#[test]
fn a_secret_that_is_a_pipe_is_read_once_and_given_to_all() {
    let bench = Bench::new();
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    let text =
        "RUN --mount=type=secret,id=s one\nENV A=1\nRUN --mount=type=secret,id=s,env=S two\n";
    let mut build = build_of(text);
    let source = SecretSource::File(SecretFile::new(&pipe));
    build.secrets.insert("s".to_owned(), source);
    // It writes once, as a shell does.
    let writer = std::thread::spawn(move || fs_err::write(pipe, "hush"));
    let ran = bench.ran(build);
    writer.join().unwrap().unwrap();
    assert_eq!(ran.len(), 2, "{ran:?}");
    assert!(
        ran[0].contains("secret hush") && ran[1].contains("S=hush"),
        "{ran:?}"
    );
}

#[test]
fn proxies_reach_commands_without_being_part_of_the_key() {
    let bench = Bench::new();
    let mut build = build_of("RUN x\n");
    build
        .args
        .insert("HTTP_PROXY".to_owned(), "http://a".to_owned());
    assert_eq!(bench.ran(build.clone()).len(), 1);
    build
        .args
        .insert("HTTP_PROXY".to_owned(), "http://b".to_owned());
    assert!(
        bench.ran(build).is_empty(),
        "the proxy is not part of the step"
    );
}

fn variable(value: &[u8]) -> SecretSource {
    SecretSource::Variable {
        name: "HOST".to_owned(),
        value: Secret::new(value),
    }
}

#[test]
fn a_secret_may_be_a_variable() {
    let bench = Bench::new();
    let mut build = build_of("ENV S=plain\nRUN --mount=type=secret,id=s,env=S use\n");
    build.secrets.insert("s".to_owned(), variable(b"hush"));
    assert_eq!(bench.ran(build.clone()), ["S=hush; -@/ /bin/sh -c use"]);
    assert_eq!(
        format!("{:?}", build.secrets["s"]),
        "Variable { name: \"HOST\", value: Secret(…) }"
    );
    build.text = format!("{}RUN other\n", build.text).into();
    let large = vec![b'x'; 600 << 10];
    for (value, why) in [(&b"\xff"[..], "hold text"), (&large, "500 KiB")] {
        let bench = Bench::new();
        build.secrets.insert("s".to_owned(), variable(value));
        let error = bench.assemble(build.clone()).unwrap_err();
        let said = format!("{error} {:?}", std::error::Error::source(&error));
        assert!(said.contains("`s` from the variable HOST"), "{said}");
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn a_secret_that_is_required_is_asked_for_before_anything_runs_and_only_when_needed() {
    let bench = Bench::new();
    let mut build = build_of("RUN first\nRUN --mount=type=secret,id=s,required use\n");
    let (line, said) = bench.refused(build.clone());
    assert!(
        line == 4 && said.contains("--secret id=s,src=FILE"),
        "{line} {said}"
    );
    assert_eq!(*bench.notes.0.lock().unwrap(), [""; 0], "nothing ran");
    assert!(
        foresee(bench.store(), &bench.recipe(build.clone())).is_err(),
        "looking ahead tells it, too"
    );
    for text in [
        "RUN --mount=type=secret,id=s,required use\n",
        "COPY nothing /\n",
    ] {
        let mut recipe = bench.recipe(build_of(text));
        let below = Step {
            origin: origin(Kind::Agent, "below"),
            addition: Addition::Files(Vec::new()),
        };
        recipe.steps.insert(0, below);
        assert!(
            foresee(bench.store(), &recipe).is_err(),
            "{text} is told before what is below is made"
        );
    }
    build.secrets.insert("s".to_owned(), variable(b"hush"));
    assert_eq!(bench.ran(build.clone()).len(), 2);
    build.secrets.clear();
    build.text = format!("{}ENV A=1\nRUN --network=none last\n", build.text).into();
    assert_eq!(bench.ran(build).len(), 1, "who asks for it is kept");
}
