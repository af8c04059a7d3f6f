//! A real terminal, in which a test types and looks.

use std::{
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use crate::home::Home;

/// A terminal of its own that runs one command line, ended with the test.
pub(crate) struct Terminal {
    socket: String,
}

impl Terminal {
    pub(crate) fn new(home: &Home, arguments: &str) -> Self {
        Self::with_term(home, arguments, "xterm")
    }

    /// The same, with what the terminal is said to be.
    pub(crate) fn with_term(home: &Home, arguments: &str, term: &str) -> Self {
        Self::with_variables(home, arguments, &format!("TERM={term}"))
    }

    /// The same, with variables as a shell exports them.
    pub(crate) fn with_variables(home: &Home, arguments: &str, variables: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let socket = format!("tmux-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let terminal = Self {
            socket: home.path(&socket).display().to_string(),
        };
        let aicage = home.aicage(&[]);
        // The shell tells how the program ended, and whether the terminal is as it was.
        let script = format!(
            "export {variables}; stty >before; {} {arguments} >out; echo code $?; stty >after; \
             cmp before after && echo terminal as before; exec sleep 600",
            env!("CARGO_BIN_EXE_aicage")
        );
        let mut command = terminal.tmux(&["new-session", "-d", "-x", "100", "-y", "30", &script]);
        command
            .current_dir(home.path("project"))
            .env_clear()
            .envs(
                aicage
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        terminal
    }

    pub(crate) fn tmux(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command
            .args(["-f", "/dev/null", "-S", &self.socket])
            .args(arguments);
        command
    }

    /// Types keys, by tmux's names.
    pub(crate) fn keys(&self, keys: &[&str]) {
        for key in keys {
            let output = self.tmux(&["send-keys", key]).output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
    }

    pub(crate) fn screen(&self) -> String {
        let output = self.tmux(&["capture-pane", "-p"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until the screen shows a text, for a minute at most, and returns the screen.
    #[track_caller]
    pub(crate) fn shows(&self, text: &str) -> String {
        let start = Instant::now();
        loop {
            let screen = self.screen();
            if screen.contains(text) {
                return screen;
            }
            assert!(
                start.elapsed() < Duration::from_mins(1),
                "no `{text}` on the screen:\n{screen}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.tmux(&["kill-server"]).output());
    }
}
