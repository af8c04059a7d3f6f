//! Sessions on a terminal, left, joined again and closed.

use super::{as_root_everywhere, listed, runs_arguments};
use crate::{
    ground::BASE,
    session::{Tmux, until},
};

#[test]
fn whoever_leaves_a_terminal_has_it_as_before_and_comes_back_to_the_same_agent() {
    if Tmux::is_missing() {
        return;
    }
    as_root_everywhere(|ground| {
        runs_arguments(ground);
        let script = "printf '\\033[?1000h'; echo begun; while :; do read -r line && echo \"<$line>\"; \
                      [ \"$line\" = q ] && exit 6; done";
        fs_err::write(ground.project().join("agent.sh"), script).unwrap();
        let aicage = env!("CARGO_BIN_EXE_aicage");
        let agent = &ground.agent;
        let shell = format!(
            "stty -g >before; {aicage} --base {BASE} {agent} sh ./agent.sh; echo code $?; stty -g | cmp before && echo same; \
             read -r x; {aicage} attach; echo code $?; stty -g | cmp before && echo same again; exec sleep 600"
        );
        let mut tmux = Tmux::new(ground);
        tmux.run(&["new-session", "-d", "-x", "100", "-y", "30", &shell]);
        tmux.shows("begun");
        let mouse = |tmux: &mut Tmux<'_>| tmux.run(&["display", "-p", "#{mouse_any_flag}"]);
        assert_eq!(mouse(&mut tmux).trim(), "1");
        tmux.run(&["send-keys", "one", "Enter"]);
        tmux.shows("<one>");
        tmux.run(&["send-keys", "C-p", "C-q"]);
        tmux.shows("comes back");
        tmux.shows("code 0");
        tmux.shows("same");
        assert_eq!(
            mouse(&mut tmux).trim(),
            "0",
            "the mouse is the user's again"
        );
        assert_eq!(listed(ground)[0]["attached"], false);
        tmux.run(&["send-keys", "Enter"]);
        until("mouse", || (mouse(&mut tmux).trim() == "1").then_some(()));
        tmux.run(&["send-keys", "two", "Enter"]);
        tmux.shows("<two>");
        tmux.run(&["send-keys", "q", "Enter"]);
        tmux.shows("code 6");
        tmux.shows("same again");
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}

#[test]
fn a_closed_terminal_ends_the_agent() {
    if Tmux::is_missing() {
        return;
    }
    as_root_everywhere(|ground| {
        runs_arguments(ground);
        let script =
            "trap 'echo hung up >heard; exit 1' HUP; echo begun; while :; do sleep 0.1; done";
        fs_err::write(ground.project().join("agent.sh"), script).unwrap();
        let mut tmux = Tmux::new(ground);
        let command = format!(
            "{} --base {BASE} {} sh ./agent.sh",
            env!("CARGO_BIN_EXE_aicage"),
            ground.agent
        );
        tmux.run(&["new-session", "-d", "-x", "100", "-y", "30", &command]);
        tmux.shows("begun");
        drop(tmux);
        until("end of the container", || {
            ground.containers(&[]).is_empty().then_some(())
        });
        let heard = fs_err::read_to_string(ground.project().join("heard")).unwrap();
        assert_eq!(heard, "hung up\n");
    });
}
