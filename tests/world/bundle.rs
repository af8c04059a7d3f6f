//! Definitions and published images of a test's own: an agent and a base that count as built-in.

use std::path::Path;

use crate::ground::{Ground, shell};

/// The id of the base.
pub(crate) const BASE: &str = "small";

/// Definitions of an agent and a base in place of the built-in ones, and repositories for their images.
pub(crate) struct Bundle<'a> {
    ground: &'a Ground,
    repositories: String,
}

impl<'a> Bundle<'a> {
    /// Defines both and sets the repositories, which `registry` has.
    pub(crate) fn new(ground: &'a Ground, registry: &str) -> Self {
        let bundle = Self {
            ground,
            repositories: format!("{registry}/{}", ground.agent),
        };
        let agent = bundle.path("agents").join(&ground.agent);
        let base = bundle.path("bases").join(BASE);
        for directory in [&agent, &base] {
            fs_err::create_dir_all(directory).unwrap();
        }
        let text =
            "agent_full_name: T\nagent_homepage: https://agent.example\nbuild_local: false\n";
        fs_err::write(agent.join("agent.yml"), text).unwrap();
        fs_err::write(agent.join("version.sh"), "#!/bin/sh\necho 1.0\n").unwrap();
        fs_err::write(agent.join("install.sh"), bundle.install("built here")).unwrap();
        let text = format!(
            "from_image: {}/library/busybox:latest\nbase_image_distro: Small\nbase_image_description: For tests\n\
             architectures: [amd64, arm64]\n",
            ground.registry
        );
        fs_err::write(base.join("base.yml"), text).unwrap();
        let of = |what: &str| format!("{}/{what}", bundle.repositories);
        for (key, value) in [
            ("definitions", bundle.path("").display().to_string()),
            ("registry.base_repository", of("base")),
            ("registry.final_repository", of("final")),
        ] {
            ground.run(&["config", "set", key, &value], 0);
        }
        bundle
    }

    /// Returns a path below the definitions.
    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.ground.path("bundle").join(name)
    }

    /// Returns an `install.sh` that makes the agent a program, which says `word` and what the base is.
    pub(crate) fn install(&self, word: &str) -> String {
        let program = format!("/usr/local/bin/{}", self.ground.agent);
        format!(
            "#!/bin/sh\nset -e\nmkdir -p /usr/local/bin\n\
             printf '#!/bin/sh\\necho {word}\\ncat /etc/flavour 2>/dev/null || true\\n' >{program}\nchmod 755 {program}\n"
        )
    }

    /// Returns the words that start the agent on the base.
    pub(crate) fn start<'w>(&'w self, options: &[&'w str]) -> Vec<&'w str> {
        let mut words = options.to_vec();
        words.extend(["--base", BASE, &self.ground.agent]);
        words
    }

    /// Returns the name of the published base.
    pub(crate) fn base_name(&self) -> String {
        format!("{}/base:{BASE}", self.repositories)
    }

    /// Returns the name of the published finished image.
    pub(crate) fn finished_name(&self) -> String {
        format!("{}/final:{}-{BASE}", self.repositories, self.ground.agent)
    }

    /// Publishes the base: busybox.
    pub(crate) fn publish_base(&self) {
        self.publish("base", &format!("base:{BASE}"), "true");
    }

    /// Publishes a finished image, whose agent says `published`.
    pub(crate) fn publish_finished(&self) {
        let script = format!(
            "mkdir -p usr/local/bin; printf '#!/bin/sh\\necho published\\n' >usr/local/bin/{0}; chmod 755 usr/local/bin/{0}",
            self.ground.agent
        );
        let name = format!("final:{}-{BASE}", self.ground.agent);
        self.publish("final", &name, &script);
    }

    /// Publishes busybox with one more layer, which `fill` puts into the directory that it runs in.
    pub(crate) fn publish(&self, what: &str, name: &str, fill: &str) {
        let script = r#"
            skopeo copy -q --src-tls-verify=false "docker://$2/library/busybox:latest" "oci:$1:x"
            mkdir "$1.tree"; (cd "$1.tree" && eval "$4")
            tar --numeric-owner -C "$1.tree" -cf "$1.tar" .
            umoci raw add-layer --image "$1:x" "$1.tar"
            skopeo copy -q --dest-tls-verify=false "oci:$1:x" "docker://$2/$3"
            rm -rf "$1" "$1.tree" "$1.tar""#;
        let name = format!("{}/{name}", self.ground.agent);
        let registry = Path::new(&self.ground.registry);
        let layout = self.ground.path(what);
        shell(
            script,
            &[&layout, registry, Path::new(&name), Path::new(fill)],
        );
    }
}
