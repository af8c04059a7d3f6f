//! A home of the Python program's users, unchanged, in both layouts: definitions, a project's file, and the agent runs.

use std::os::unix::fs::PermissionsExt as _;

use assembler::digest::Digest;

use crate::ground::{Ground, on_every_engine};

/// Where agents, bases and extensions are, and the ending of the files that describe them.
const LAYOUTS: [[&str; 4]; 2] = [
    [
        ".aicage-custom/agents",
        ".aicage-custom/base-images",
        ".aicage-custom/extensions",
        "yaml",
    ],
    [
        ".aicage/custom/agents",
        ".aicage/custom/image-base",
        ".aicage/custom/extension",
        "yml",
    ],
];

fn write(ground: &Ground, path: &str, content: &str) {
    let path = ground.home().join(path);
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(&path, content).unwrap();
    if path.ends_with("setup.sh") {
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

fn definitions(ground: &Ground, [agents, bases, extensions, ending]: [&str; 4]) {
    let Ground {
        registry, agent, ..
    } = ground;
    let files = [
        (
            format!("{agents}/{agent}/agent.{ending}"),
            "agent_full_name: Mine\nagent_homepage: https://mine.example/\nagent_path:\n  directories:\n  - ~/.mine\n"
                .to_owned(),
        ),
        (
            format!("{agents}/{agent}/install.sh"),
            "#!/bin/sh\r\nset -e\r\nmkdir -p /usr/local/bin\r\nsh lib/put.sh >/usr/local/bin/$AGENT\r\n\
             chmod 755 /usr/local/bin/$AGENT\r\n"
                .to_owned(),
        ),
        (
            format!("{agents}/{agent}/lib/put.sh"),
            "echo '#!/bin/sh'\necho 'cat /etc/added; ls -d ~/.mine'\n".to_owned(),
        ),
        (
            format!("{agents}/{agent}/version.sh"),
            "#!/bin/sh\necho 1.0\n".to_owned(),
        ),
        (
            format!("{bases}/own/base.{ending}"),
            format!(
                "root_image: {registry}/library/busybox:latest\nbase_image_distro: Small\n\
                 base_image_description: (Small) own\narchitectures:\n- amd64\n- arm64\n"
            ),
        ),
        (
            format!("{bases}/own/Dockerfile"),
            "# check=skip=InvalidDefaultArgInFrom\nARG WHO=base\nARG FROM_IMAGE\nFROM ${FROM_IMAGE} AS from_image\nARG WHO\n\
             ENV LANG=C.UTF-8 \\\n    AICAGE_UID=1000\n\
             RUN --mount=type=bind,source=setup.sh,target=/tmp/setup.sh,readonly \\\n    /tmp/setup.sh \"${WHO}\"\n"
                .to_owned(),
        ),
        (
            format!("{bases}/own/setup.sh"),
            "#!/bin/sh\necho \"$1\" >>/etc/added\n".to_owned(),
        ),
        (
            format!("{extensions}/one/extension.{ending}"),
            "name: \"One\"\ndescription: \"First\"\n".to_owned(),
        ),
        (
            format!("{extensions}/one/scripts/01-one.sh"),
            "#!/bin/sh\necho one >>/etc/added\n".to_owned(),
        ),
        (
            format!("{extensions}/two/extension.{ending}"),
            "name: Two\ndescription: Second\n".to_owned(),
        ),
        (
            format!("{extensions}/two/Dockerfile"),
            "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nARG EXTENSION\nRUN echo ${EXTENSION} >>/etc/added\n".to_owned(),
        ),
    ];
    for (path, content) in files {
        write(ground, &path, &content);
    }
    for place in [agents, bases, extensions] {
        write(ground, &format!("{place}/.git/HEAD"), "ref: x\n");
        write(ground, &format!("{place}/README.md"), "Mine.\n");
    }
}

#[test]
fn a_home_of_the_python_programs_users_runs_its_agent_in_both_layouts() {
    on_every_engine(|ground| {
        for layout in LAYOUTS {
            for directory in [".aicage-custom", ".aicage"] {
                drop(fs_err::remove_dir_all(ground.home().join(directory)));
            }
            definitions(ground, layout);
            let project = fs_err::canonicalize(ground.project()).unwrap();
            let project = project.to_str().unwrap();
            let name = Digest::of(project.as_bytes()).hex();
            let agent = &ground.agent;
            let image = format!("aicage-extended:{agent}-own-two-one");
            write(
                ground,
                &format!(".aicage/projects/{name}.yml"),
                &format!(
                    "agents:\n  {agent}:\n    base: own\n    extensions:\n    - two\n    - one\n    image_ref: {image}\n\
                     path: {project}\n"
                ),
            );
            let said = ground.run(&[agent], 0);
            let home = ground.home().join(".mine").display().to_string();
            assert_eq!(said.stdout, format!("base\ntwo\none\n{home}\n"));
            assert!(!said.stderr.contains("warning"), "{}", said.stderr);
            let tags = ground.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
            assert!(tags.contains(&image), "no {image} in: {tags}");
            let again = ground.run(&[agent], 0);
            assert_eq!(again.stderr, "", "nothing changed, nothing is done");
        }
    });
}
