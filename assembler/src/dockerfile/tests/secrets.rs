//! What Dockerfiles are given and nothing keeps: secrets and proxies.

use super::super::bench::*;

#[test]
fn a_secret_is_given_and_decides_nothing() {
    let bench = Bench::new();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), "hush").unwrap();
    let text = "RUN --mount=type=secret,id=s use\n";
    let mut build = build_of(text);
    build.secrets.insert("s".to_owned(), file.path().to_owned());
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

#[test]
fn a_secret_may_be_a_variable() {
    let bench = Bench::new();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), "hush").unwrap();
    let mut build = build_of("RUN --mount=type=secret,id=s,env=S use\n");
    build.secrets.insert("s".to_owned(), file.path().to_owned());
    assert_eq!(bench.ran(build), ["-@/ S=hush /bin/sh -c use"]);
}
