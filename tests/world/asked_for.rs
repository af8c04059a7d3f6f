//! What is started is what was asked for, though another image has its name or was there before.

use serde_json::Value;

use crate::{
    bundle::{self, Bundle},
    ground::{Ground, on_one_engine},
};

/// Defines a base that says what it is.
fn base(ground: &Ground, id: &str) {
    let directory = ground.aicage_home().join("custom/image-base").join(id);
    fs_err::create_dir_all(directory.join("scripts")).unwrap();
    let text = format!(
        "from_image: {}/library/busybox:latest\nbase_image_distro: Small\nbase_image_description: For tests\n\
         architectures: [amd64, arm64]\n",
        ground.registry
    );
    fs_err::write(directory.join("base.yml"), text).unwrap();
    let script = format!("#!/bin/sh\necho {id} >/etc/flavour\n");
    fs_err::write(directory.join("scripts/1.sh"), script).unwrap();
}

/// Defines an agent of the user's, which says `word` and what the base is.
fn agent(ground: &Ground, id: &str, word: &str) {
    let directory = ground.aicage_home().join("custom/agents").join(id);
    fs_err::create_dir_all(&directory).unwrap();
    let program = format!("/usr/local/bin/{id}");
    for (file, text) in [
        (
            "agent.yml",
            "agent_full_name: T\nagent_homepage: https://agent.example\n".to_owned(),
        ),
        ("version.sh", "#!/bin/sh\necho 1.0\n".to_owned()),
        (
            "install.sh",
            format!(
                "#!/bin/sh\nset -e\nmkdir -p /usr/local/bin\n\
                 printf '#!/bin/sh\\necho {word}\\ncat /etc/flavour 2>/dev/null || true\\n' >{program}\nchmod 755 {program}\n"
            ),
        ),
    ] {
        fs_err::write(directory.join(file), text).unwrap();
    }
}

fn steps(ground: &Ground) -> usize {
    let is_step = |name: &&String| !name.starts_with("version-");
    ground.logs().keys().filter(is_step).count()
}

#[test]
fn an_image_of_another_agent_or_base_is_never_taken_for_the_one_asked_for() {
    on_one_engine(|ground| {
        // `aicage:<agent>-<base>` is the same for both.
        let (short, long) = (ground.agent.clone(), format!("{}-x", ground.agent));
        base(ground, "x-y");
        base(ground, "y");
        agent(ground, &short, "short");
        agent(ground, &long, "long");
        assert_eq!(
            ground.run(&["--base", "x-y", &short], 0).stdout,
            "short\nx-y\n"
        );
        // What the other image's version is says nothing about this agent's.
        let version = format!("custom/agents/{long}/version.sh");
        let version = ground.aicage_home().join(version);
        fs_err::write(&version, "#!/bin/sh\nexit 1\n").unwrap();
        ground
            .run(&["--base", "y", &long], 1)
            .tells("cannot tell the newest version");
        agent(ground, &long, "long");
        let said = ground.run(&["--base", "y", &long], 0);
        assert_eq!(said.stdout, "long\ny\n");
        said.tells(&format!("it was made of agent `{short}`, not `{long}`"));
        let before = steps(ground);
        assert_eq!(
            ground.run(&["--base", "x-y", &short], 0).stdout,
            "short\nx-y\n"
        );
        assert_eq!(steps(ground), before, "all layers are kept");

        // A name of the user's own, on one base and then on another.
        let extension = ground.aicage_home().join("custom/extension/e");
        fs_err::create_dir_all(extension.join("scripts")).unwrap();
        fs_err::write(
            extension.join("extension.yml"),
            "name: E\ndescription: For tests\n",
        )
        .unwrap();
        fs_err::write(extension.join("scripts/1.sh"), "#!/bin/sh\ntrue >/etc/e\n").unwrap();
        let name = format!("one-{short}");
        let on = |base: &'static str| {
            [
                "--base",
                base,
                "--extension",
                "e",
                "--image-name",
                &name,
                &short,
            ]
        };
        ground.run(&on("x-y"), 0);
        let mut plan = vec!["plan", "--json"];
        let words = on("y");
        plan.extend(words);
        let planned = ground.run(&plan, 0).stdout;
        let planned: Value = serde_json::from_str(&planned).unwrap();
        assert_eq!(planned["reasons"][0], "it was made on base `x-y`, not `y`");
        assert_eq!(ground.run(&words, 0).stdout, "short\ny\n");
    });
}

#[test]
fn definitions_of_this_machine_win_over_a_published_image_that_is_there() {
    on_one_engine(|ground| {
        let bundle = Bundle::new(ground, &ground.registry);
        bundle.publish_base();
        bundle.publish_finished();
        let start = |said: &str, why: &str| {
            let start = ground.run(&bundle.start(&[]), 0);
            assert_eq!(start.stdout, said);
            start.tells(why);
            let again = ground.run(&bundle.start(&[]), 0);
            assert_eq!((again.stdout.as_str(), again.stderr.as_str()), (said, ""));
        };
        start("published\n", "is not in the store");

        agent(ground, &ground.agent, "mine");
        start(
            "mine\n",
            &format!("agent `{}` is defined by you", ground.agent),
        );
        fs_err::remove_dir_all(ground.aicage_home().join("custom/agents")).unwrap();
        start("published\n", "is published");

        base(ground, bundle::BASE);
        start("built here\nsmall\n", "base `small` is defined by you");
        fs_err::remove_dir_all(ground.aicage_home().join("custom/image-base")).unwrap();
        start("published\n", "is published");

        ground.run(&["base", "build", bundle::BASE], 0);
        let mut plan = vec!["plan", "--json"];
        plan.extend(bundle.start(&[]));
        let plan: Value = serde_json::from_str(&ground.run(&plan, 0).stdout).unwrap();
        assert_eq!(plan["action"], "build");
        start("built here\n", "base `small` is assembled here");
    });
}

#[test]
fn a_publisher_builds_on_the_base_what_is_published() {
    on_one_engine(|ground| {
        let bundle = Bundle::new(ground, &ground.registry);
        bundle.publish_base();
        bundle.publish_finished();
        assert_eq!(ground.run(&bundle.start(&[]), 0).stdout, "published\n");
        let build = |options: &[&str]| {
            let mut words = vec!["build"];
            words.extend(bundle.start(options));
            ground.run(&words, 0)
        };
        let output = format!("oci:{}", ground.path("image").display());
        build(&["--from-base", "--output", &output]);
        assert_eq!(steps(ground), 1, "its script ran");
        assert_eq!(
            ground.run(&bundle.start(&["--no-update"]), 0).stdout,
            "built here\n"
        );

        // Both the base and the version moved: the newest is what is published.
        bundle.publish(
            "base",
            &format!("base:{}", bundle::BASE),
            "mkdir etc; echo new >etc/flavour",
        );
        let agent = bundle.path("agents").join(&ground.agent);
        fs_err::write(agent.join("version.sh"), "#!/bin/sh\necho 2.0\n").unwrap();
        build(&["--from-base", "--output", &output]);
        assert_eq!(steps(ground), 2);
        build(&["--from-base", "--output", &output]);
        assert_eq!(steps(ground), 2, "nothing is new");
        assert_eq!(
            ground.run(&bundle.start(&["--no-update"]), 0).stdout,
            "built here\nnew\n"
        );
        let image = format!("aicage:{}-{}", ground.agent, bundle::BASE);
        let inspect = ground.run(&["image", "inspect", &image], 0).stdout;
        assert!(inspect.contains("2.0"), "{inspect}");
        // For everybody else the published one is what there is.
        ground.run(&["update"], 0);
        assert_eq!(ground.run(&bundle.start(&[]), 0).stdout, "published\n");
    });
}
