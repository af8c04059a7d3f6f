//! Commits that are signed inside with a key that stays outside.

use std::{path::Path, process::Command};

use crate::ground::{BASE, Ground, Said, on_all_engines, shell};

/// A key without a passphrase in the caller's own `~/.gnupg`, whose agent ends with the test.
struct Key<'a> {
    ground: &'a Ground,
}

impl<'a> Key<'a> {
    fn new(ground: &'a Ground) -> Self {
        let key = Self { ground };
        key.run(&["mkdir", "-m", "700", ".gnupg"]);
        key.run(&[
            "gpg",
            "--batch",
            "--passphrase",
            "",
            "--quick-gen-key",
            "Ann <ann@example.org>",
            "ed25519",
            "sign",
        ]);
        key
    }

    /// Runs a program outside, as the caller, at home.
    fn run(&self, words: &[&str]) -> String {
        let (uid, gid) = self.ground.owner();
        let mut command = Command::new("setpriv");
        command
            .args([format!("--reuid={uid}"), format!("--regid={gid}")])
            .args(["--clear-groups", "--inh-caps=-all"])
            .args(words)
            .current_dir(self.ground.home())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.ground.home());
        let said = Said::of(&mut command, 0);
        said.stdout + &said.stderr
    }
}

impl Drop for Key<'_> {
    fn drop(&mut self) {
        self.run(&["gpgconf", "--kill", "all"]);
    }
}

#[test]
fn a_commit_is_signed_with_a_key_that_cannot_be_read() {
    on_all_engines(|ground| {
        // One engine with a caller who is not root tells all; its image has to be made from packages.
        if ground.name != "AICAGE_TEST_DOCKER_OLD" || ground.caller.is_none() {
            return;
        }
        ground.base("aicage/aicage-image-base:debian");
        ground.define(&format!(
            "#!/bin/sh\nset -e\napt-get update -qq\napt-get install -qq --no-install-recommends gpg gpg-agent >/dev/null\n\
             printf '#!/bin/sh\\nexec \"$@\"\\n' >/usr/local/bin/{0}\nchmod 755 /usr/local/bin/{0}\n",
            ground.agent
        ));
        ground.build();
        fs_err::write(
            ground.home().join(".gitconfig"),
            "[user]\n\tname = Ann\n\temail = ann@example.org\n[commit]\n\tgpgSign = true\n",
        )
        .unwrap();
        let (uid, gid) = ground.owner();
        shell(
            "chown \"$2\" \"$1\"",
            &[&ground.home(), Path::new(&format!("{uid}:{gid}"))],
        );
        let key = Key::new(ground);
        let project = ground.project();
        let project = project.to_str().unwrap();
        key.run(&["git", "init", "-q", "-b", "main", project]);
        let commit = "git commit -q --allow-empty -m signed";
        let start = |options: &[&str], script: &str, code| {
            let words = [
                options,
                &["--base", BASE, &ground.agent, "sh", "-c", script],
            ]
            .concat();
            ground.run(&words, code)
        };
        start(&["--deny", "gnupg"], commit, 128);
        start(&["--allow", "gnupg"], commit, 0);
        let judged = key.run(&["git", "-C", project, "verify-commit", "HEAD"]);
        assert!(
            judged.contains("Good signature from \"Ann <ann@example.org>\""),
            "{judged}"
        );
        // It is remembered, and the key itself does not come in.
        let said = start(
            &[],
            "gpg --batch --export-secret-keys; find ~/.gnupg -path '*private*'; gpg -K",
            0,
        );
        assert!(!said.stdout.contains("PRIVATE"), "{said:?}");
        assert!(!said.stdout.contains("private"), "{said:?}");
    });
}
