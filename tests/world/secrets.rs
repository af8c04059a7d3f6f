//! Secrets of Dockerfiles: given on the command line for one run, and kept nowhere.

use std::{path::Path, process::Command};

use crate::ground::{BASE, Ground, on_every_engine};

/// Sixteen letters that are nowhere else.
const HUSH: &str = "hush-4f1d9a7c2b3";

/// An extension whose commands want a secret, as a file and as a variable, and keep its length.
fn extension(ground: &Ground) {
    let directory = ground.aicage_home().join("custom/extension/vault");
    fs_err::create_dir_all(&directory).unwrap();
    let write = |name: &str, text: &str| fs_err::write(directory.join(name), text).unwrap();
    write("extension.yml", "name: V\ndescription: For tests\n");
    write(
        "Dockerfile",
        "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\n\
         RUN --mount=type=secret,id=token,required wc -c </run/secrets/token >/etc/added\n\
         RUN --mount=type=secret,id=token,env=TOKEN echo ${#TOKEN} >>/etc/added\n",
    );
}

/// Lists the files below a directory that have the secret in them.
fn traces(directory: &Path) -> String {
    let found = Command::new("grep")
        .args(["-rlF", HUSH])
        .arg(directory)
        .output()
        .unwrap();
    String::from_utf8(found.stdout).unwrap()
}

#[test]
fn a_dockerfile_gets_the_secrets_of_the_command_line_and_nothing_keeps_them() {
    on_every_engine(|ground| {
        ground.base("library/busybox:latest");
        ground.define_program("cat /etc/added");
        extension(ground);
        // A pipe, as `<(pass token)` of a shell is one: both commands get what it gives once.
        let pipe = ground.home().join(".token");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
        let secret = "id=token,src=~/.token";
        let run = ["run", "--extension", "vault", "--base", BASE, &ground.agent];

        let said = ground.run(&run, 2);
        said.tells("line 3: the secret `token` is required and not given");
        said.tells("--secret id=token,src=FILE");
        let is_step = |name: &String| name.starts_with("agent-") || name.starts_with("extension-");
        assert!(!ground.logs().keys().any(is_step), "nothing was built");
        let absent = [&["--secret", "id=token,src=/nowhere"][..], &run].concat();
        ground
            .run(&absent, 2)
            .tells("cannot give the secret `token`");

        let given = [&["--secret", secret][..], &run].concat();
        let writer = std::thread::spawn(move || fs_err::write(pipe, HUSH));
        assert_eq!(ground.run(&given, 0).stdout, "16\n16\n");
        writer.join().unwrap().unwrap();
        assert_eq!(traces(&ground.aicage_home()), "", "no file of ours has it");
        let again = ground.run(&run, 0);
        assert_eq!(
            (again.stdout.as_str(), again.stderr.as_str()),
            ("16\n16\n", ""),
            "what is made needs no secret"
        );
    });
}
