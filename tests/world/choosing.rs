//! A first run on a terminal, whole: questions, the image that was chosen, and the agent on the same terminal.

use crate::{
    ground::{BASE, Ground, on_every_engine},
    session::Tmux,
};

/// Defines an extension that leaves a file with its name.
fn extension(ground: &Ground, name: &str) {
    let directory = ground.aicage_home().join("custom/extension").join(name);
    fs_err::create_dir_all(directory.join("scripts")).unwrap();
    let text = format!("name: {name}\ndescription: Leaves its name\n");
    fs_err::write(directory.join("extension.yml"), text).unwrap();
    let script = format!("echo {name} >>/etc/order\n");
    fs_err::write(directory.join("scripts/1.sh"), script).unwrap();
}

#[test]
fn what_was_answered_is_built_and_the_agent_gets_the_terminal() {
    if Tmux::is_missing() {
        return;
    }
    on_every_engine(|ground| {
        ground.base("library/busybox:latest");
        ground.define_program(
            "cat /etc/order; test -t 0 && echo ready; read -r line; echo heard \"$line\"; exit 7",
        );
        extension(ground, "first");
        extension(ground, "second");
        let mut tmux = Tmux::new(ground);
        let run = format!(
            "{} --menu plain {}; echo code $?; stty -a | grep -o ' icanon'; exec sleep 600",
            env!("CARGO_BIN_EXE_aicage"),
            ground.agent
        );
        tmux.run(&["new-session", "-d", "-x", "90", "-y", "20", &run]);
        tmux.shows("Which base for");
        tmux.run(&["send-keys", "-l", BASE]);
        tmux.run(&["send-keys", "Enter"]);
        tmux.shows("Add an extension?");
        tmux.run(&["send-keys", "-l", "second"]);
        tmux.run(&["send-keys", "Enter"]);
        tmux.shows("Add another after second?");
        tmux.run(&["send-keys", "-l", "first"]);
        tmux.run(&["send-keys", "Enter"]);
        tmux.shows("Add another after second, first?");
        tmux.run(&["send-keys", "Enter"]);
        tmux.shows("Name of the image:");
        tmux.run(&["send-keys", "Enter"]);
        tmux.shows("second\nfirst\nready");
        tmux.run(&["send-keys", "-l", "hello"]);
        tmux.run(&["send-keys", "Enter"]);
        tmux.shows("heard hello");
        tmux.shows("code 7\n icanon");
        // The second time nothing is asked.
        let said = ground.run(&["plan", &ground.agent], 0);
        let image = format!(
            "aicage-extended:{}-{BASE}-extensions-second-first",
            ground.agent
        );
        assert!(said.stdout.starts_with(&image), "{}", said.stdout);
        assert!(said.stdout.contains("is up to date"), "{}", said.stdout);
    });
}
