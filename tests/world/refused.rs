//! What is refused or does not work is said with its real cause and a way out, and takes nothing from anybody.

use crate::ground::{BASE, Ground, on_every_engine};

const BUSYBOX: &str = "library/busybox:latest";

fn extension(ground: &Ground, id: &str, script: &str) {
    let directory = ground.aicage_home().join("custom/extension").join(id);
    fs_err::create_dir_all(directory.join("scripts")).unwrap();
    let text = format!("name: {id}\ndescription: For tests\n");
    fs_err::write(directory.join("extension.yml"), text).unwrap();
    fs_err::write(directory.join("scripts/1.sh"), script).unwrap();
}

#[test]
fn a_name_that_another_image_has_in_the_engine_is_not_taken_over() {
    on_every_engine(|ground| {
        ground.base(BUSYBOX);
        ground.define_program("cat /etc/mark");
        extension(ground, "mark", "#!/bin/sh\necho marked >/etc/mark\n");
        let file = ground.path("empty.tar");
        fs_err::write(&file, [0; 1024]).unwrap();
        let theirs = format!("theirs-{}:1", ground.agent);
        ground.docker(&["import", file.to_str().unwrap(), &theirs]);
        let id = || ground.docker(&["image", "inspect", "--format", "{{.Id}}", &theirs]);
        let before = id();

        let with = ["--base", BASE, "--extension", "mark", "--image-name"];
        for verb in ["build", "plan", "run"] {
            let words = [&[verb][..], &with, &[&theirs, &ground.agent]].concat();
            let said = ground.run(&words, 3);
            said.tells("which aicage did not make");
            said.tells("--image-name");
        }
        assert_eq!(id(), before, "their name is on another image");
        let definitions = ground.aicage_home().join("custom/image-extended");
        assert!(!definitions.exists(), "what was refused was kept");

        // The same name without an image of others, and once more over our own.
        let ours = format!("ours-{}:1", ground.agent);
        let words = [&["run"][..], &with, &[&ours, &ground.agent]].concat();
        assert_eq!(ground.run(&words, 0).stdout, "marked\n");
        extension(ground, "mark", "#!/bin/sh\necho again >/etc/mark\n");
        assert_eq!(ground.run(&words, 0).stdout, "again\n");

        // Stored, and taken by others since.
        ground.docker(&["tag", &theirs, &ours]);
        let said = ground.run(&[&ground.agent], 3);
        said.tells("which aicage did not make");
        said.tells("stored in");
        ground.docker(&["image", "rm", &theirs, &ours]);
    });
}

#[test]
fn a_check_of_an_agent_looks_for_its_program() {
    on_every_engine(|ground| {
        ground.base(BUSYBOX);
        let check = ["agent", "check", &ground.agent, "--base", BASE];
        ground.define("#!/bin/sh\nexit 0\n");
        let said = ground.run(&check, 1);
        said.tells("there is no program");
        assert!(said.stdout.contains("does not work"), "{}", said.stdout);
        let name = &ground.agent;
        // Not executable.
        ground.define(&format!(
            "#!/bin/sh\nmkdir -p /usr/local/bin\n>/usr/local/bin/{name}\n"
        ));
        ground.run(&check, 1).tells("there is no program");
        // Through links, and through what is merged into /usr.
        ground.define(&format!(
            "#!/bin/sh\nset -e\nmkdir -p /opt/x/bin\ncd /opt/x\nprintf '#!/bin/sh\\n' >bin/real\n\
             chmod 755 bin/real\nln -s bin tools\nln -s ../opt/x/tools/../tools/real /bin/{name}\n"
        ));
        let said = ground.run(&check, 0);
        assert!(said.stdout.contains(": works"), "{}", said.stdout);
    });
}

#[test]
fn a_missing_interpreter_or_network_or_root_image_is_named() {
    on_every_engine(|ground| {
        ground.base(BUSYBOX);
        ground.define_program("true");
        let build = ["build", "--base", BASE, &ground.agent];
        let offline = [&["--offline"][..], &build].concat();
        let said = ground.run(&offline, 4);
        said.tells(&format!("aicage base build {BASE}"));
        assert!(!said.stderr.contains("with `--from`"), "{}", said.stderr);
        ground.run(&build, 0);
        extension(ground, "bash", "#!/nowhere/bash -e\ntrue\n");
        let with_bash = [&build[..], &["--extension", "bash"]].concat();
        let said = ground.run(&with_bash, 1);
        said.tells("its first line asks for /nowhere/bash");
        assert!(!said.stderr.contains("have no network"), "{}", said.stderr);
        extension(ground, "net", "#!/bin/sh\nexit 6\n");
        let with_net = [&offline[..], &["--extension", "net"]].concat();
        ground.run(&with_net, 1).tells("have no network");
    });
}
