//! What a test stands on: an engine, a home and a project directory of its own, small agents, and the program.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use tempfile::TempDir;

/// What an agent's `agent.yml` says when nothing matters.
const AGENT: &str = "agent_full_name: An agent of a test\nagent_homepage: https://agent.example\n";

/// The name of the base that [`Ground::base`] defines.
pub(crate) const BASE: &str = "tiny";

/// Returns a variable of the world, and says that the test is skipped where there is none.
pub(crate) fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok();
    if value.is_none() {
        eprintln!("SKIP: {name} is not set; `fixtures/world/up` sets it");
    }
    value
}

/// Runs a test once on each engine that there is, on ground of its own.
pub(crate) fn on_every_engine(test: impl Fn(&Ground)) {
    let Some(registry) = variable("AICAGE_TEST_REGISTRY") else {
        return;
    };
    for name in ["AICAGE_TEST_DOCKER_OLD", "AICAGE_TEST_DOCKER_NEW"] {
        if let Some(engine) = variable(name) {
            eprintln!("on {name}");
            test(&Ground::new(&engine, &registry));
        }
    }
}

/// Runs a test on each engine that there is, of each kind, as each caller who may use it.
pub(crate) fn on_all_engines(test: impl Fn(&Ground)) {
    on_engines(usize::MAX, test);
}

/// The same as one caller for each engine: for what does not depend on who that is.
pub(crate) fn on_each_engine(test: impl Fn(&Ground)) {
    on_engines(1, test);
}

fn on_engines(callers_of_each: usize, test: impl Fn(&Ground)) {
    let Some(registry) = variable("AICAGE_TEST_REGISTRY") else {
        return;
    };
    let user = variable("AICAGE_TEST_USER").map(|name| Caller::named(&name));
    for (name, callers) in ENGINES {
        let Some(engine) = variable(name) else {
            continue;
        };
        for who in callers.iter().take(callers_of_each) {
            let caller = match (who, &user) {
                (Who::Root, _) => None,
                (Who::User, Some(user)) => Some(user.clone()),
                (Who::User, None) => continue,
            };
            eprintln!("on {name} as {who:?}");
            let mut ground = Ground::new(&engine, &registry);
            ground.name = name;
            ground.be(caller);
            test(&ground);
        }
    }
}

/// Runs a test on this machine alone, as root and as an ordinary user: no engine is there for the program.
pub(crate) fn on_this_machine(test: impl Fn(&Ground)) {
    let Some(registry) = variable("AICAGE_TEST_REGISTRY") else {
        return;
    };
    let user = variable("AICAGE_TEST_USER").map(|name| Caller::named(&name));
    for caller in [Some(None), user.map(Some)].into_iter().flatten() {
        eprintln!("on this machine as {caller:?}");
        let mut ground = Ground::new(NATIVE, &registry);
        ground.name = NATIVE;
        ground.be(caller);
        test(&ground);
    }
}

/// Runs a test on each engine, and on this machine without any.
pub(crate) fn on_each_engine_and_this_machine(test: impl Fn(&Ground)) {
    on_each_engine(&test);
    on_this_machine(&test);
}

/// Every engine of the world, and who uses it: a rootless one sees only what its user may see.
const ENGINES: [(&str, &[Who]); 5] = [
    ("AICAGE_TEST_DOCKER_OLD", &[Who::Root, Who::User]),
    ("AICAGE_TEST_DOCKER_NEW", &[Who::Root]),
    ("AICAGE_TEST_DOCKER_ROOTLESS", &[Who::User]),
    ("AICAGE_TEST_PODMAN", &[Who::Root, Who::User]),
    ("AICAGE_TEST_PODMAN_ROOTLESS", &[Who::User]),
];

/// Stands for this machine without any engine.
const NATIVE: &str = "native";

#[derive(Clone, Copy, Debug)]
enum Who {
    Root,
    User,
}

/// An unprivileged user who runs the program.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Caller {
    fn named(name: &str) -> Self {
        let number = |option: &str| {
            let said = Said::of(Command::new("id").args([option, name]), 0);
            said.stdout.trim().parse().unwrap()
        };
        Self {
            name: name.to_owned(),
            uid: number("-u"),
            gid: number("-g"),
        }
    }
}

/// Runs a test on one engine: for what no engine has a part in.
pub(crate) fn on_one_engine(test: impl Fn(&Ground)) {
    let registry = variable("AICAGE_TEST_REGISTRY");
    let engine = variable("AICAGE_TEST_DOCKER_NEW").or_else(|| variable("AICAGE_TEST_DOCKER_OLD"));
    if let (Some(engine), Some(registry)) = (engine, registry) {
        test(&Ground::new(&engine, &registry));
    }
}

/// A home, a project and names that no other test has, on one engine.
pub(crate) struct Ground {
    directory: TempDir,
    /// `DOCKER_HOST` of the engine.
    pub(crate) engine: String,
    /// `HOST:PORT` of the open registry.
    pub(crate) registry: String,
    /// The agent that the test is about.
    pub(crate) agent: String,
    /// The variable that named the engine.
    pub(crate) name: &'static str,
    /// Who runs the program, if not root.
    pub(crate) caller: Option<Caller>,
}

impl Ground {
    pub(crate) fn new(engine: &str, registry: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let ground = Self {
            directory: TempDir::with_prefix("aicage-world-").unwrap(),
            engine: engine.to_owned(),
            registry: registry.to_owned(),
            agent: format!("t{}-{count}", std::process::id()),
            name: "",
            caller: None,
        };
        for directory in [ground.home(), ground.aicage_home(), ground.project()] {
            fs_err::create_dir_all(directory).unwrap();
        }
        ground
    }

    /// Has the program run by somebody from now on.
    pub(crate) fn be(&mut self, caller: Option<Caller>) {
        if caller.is_some() {
            // The build's directory may be closed to all others; a second name of the program is not.
            let program = env!("CARGO_BIN_EXE_aicage");
            fs_err::hard_link(program, self.program())
                .or_else(|_other_disk| fs_err::copy(program, self.program()).map(drop))
                .unwrap();
        }
        self.caller = caller;
    }

    fn program(&self) -> PathBuf {
        self.path("aicage")
    }

    /// Returns the numbers of who runs the program.
    pub(crate) fn owner(&self) -> (u32, u32) {
        self.caller
            .as_ref()
            .map_or((0, 0), |caller| (caller.uid, caller.gid))
    }

    /// Gives all that the test has written so far to who runs the program.
    fn give(&self, path: &Path) {
        let there = fs_err::symlink_metadata(path).unwrap();
        // The store has been made by who runs the program, and for others.
        if path == self.program() || path == self.aicage_home().join("store") {
            return;
        }
        if there.uid() == 0 {
            let (uid, gid) = self.owner();
            std::os::unix::fs::lchown(path, Some(uid), Some(gid)).unwrap();
        }
        if there.is_dir() {
            for entry in fs_err::read_dir(path).unwrap() {
                self.give(&entry.unwrap().path());
            }
        }
    }

    /// Returns a path below the test's own directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.path("home")
    }

    pub(crate) fn aicage_home(&self) -> PathBuf {
        self.path("home/.aicage")
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.path("project")
    }

    /// Returns the name of the agent's image.
    pub(crate) fn image(&self) -> String {
        format!("aicage:{}-{BASE}", self.agent)
    }

    /// Defines the base from an image of the open registry, such as `library/busybox:latest`.
    pub(crate) fn base(&self, image: &str) {
        let directory = self.aicage_home().join("custom/image-base").join(BASE);
        fs_err::create_dir_all(&directory).unwrap();
        let text = format!(
            "from_image: {}/{image}\nbase_image_distro: Small\nbase_image_description: For tests\n\
             architectures: [amd64, arm64]\n",
            self.registry
        );
        fs_err::write(directory.join("base.yml"), text).unwrap();
    }

    /// Defines the agent by its `install.sh`.
    pub(crate) fn define(&self, install: &str) {
        self.write_agent("agent.yml", AGENT);
        self.write_agent("version.sh", "#!/bin/sh\necho 1.0\n");
        self.write_agent("install.sh", install);
    }

    /// Defines the agent as a program: a shell script, which is given the arguments.
    pub(crate) fn define_program(&self, program: &str) {
        let name = &self.agent;
        self.define(&format!(
            "#!/bin/sh\nset -e\nmkdir -p /usr/local/bin\ncat >/usr/local/bin/{name} <<'PROGRAM'\n\
             #!/bin/sh\n{program}\nPROGRAM\nchmod 755 /usr/local/bin/{name}\n"
        ));
    }

    /// Writes one file of the agent's definition, not executable.
    pub(crate) fn write_agent(&self, file: &str, content: &str) {
        let directory = self.aicage_home().join("custom/agents").join(&self.agent);
        fs_err::create_dir_all(&directory).unwrap();
        fs_err::write(directory.join(file), content).unwrap();
    }

    /// Returns the program with these arguments, in the project directory, in a small environment.
    pub(crate) fn aicage(&self, arguments: &[&str]) -> Command {
        let mut command = self.command();
        command
            .args(arguments)
            .current_dir(self.project())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.home())
            .env("AICAGE_HOME", self.aicage_home())
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null());
        if self.is_native() {
            command.env("AICAGE_ENGINE", NATIVE);
        } else {
            command.env("DOCKER_HOST", &self.engine);
        }
        command
    }

    pub(crate) fn is_native(&self) -> bool {
        self.engine == NATIVE
    }

    /// The program, run by who is to run it; in the group of the engine's socket, as people are.
    fn command(&self) -> Command {
        let Some(caller) = &self.caller else {
            return Command::new(env!("CARGO_BIN_EXE_aicage"));
        };
        self.give(self.directory.path());
        let group = match self.engine.strip_prefix("unix://") {
            Some(socket) => fs_err::metadata(socket).unwrap().gid(),
            None => caller.gid,
        };
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={}", caller.uid))
            .arg(format!("--regid={}", caller.gid))
            .arg(format!("--groups={group}"))
            .arg("--inh-caps=-all")
            .arg(self.program());
        command
    }

    /// Runs the program and expects this exit code.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str], code: i32) -> Said {
        Said::of(&mut self.aicage(arguments), code)
    }

    /// Builds the agent's image.
    #[track_caller]
    pub(crate) fn build(&self) -> Said {
        self.run(&["build", &self.agent, "--base", BASE], 0)
    }

    /// Starts the agent on the base and expects this exit code.
    #[track_caller]
    pub(crate) fn start(&self, arguments: &[&str], code: i32) -> Said {
        let mut all = vec!["--base", BASE, &self.agent];
        all.extend(arguments);
        self.run(&all, code)
    }

    /// Runs Docker's own client on the engine and returns what it printed.
    #[track_caller]
    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("docker");
        command.args(["-H", &self.engine]).args(arguments);
        Said::of(&mut command, 0).stdout
    }

    /// Returns the containers that are there of this agent or of steps of these processes.
    pub(crate) fn containers(&self, processes: &[u32]) -> Vec<String> {
        if self.is_native() {
            return self.cages();
        }
        let list = self.docker(&[
            "ps",
            "--all",
            "--format",
            "{{.ID}} {{.Label \"io.github.aicage.agent\"}} {{.Label \"io.github.aicage.step\"}}",
        ]);
        let ours = |line: &&str| {
            let mut words = line.split(' ').skip(1);
            words.next() == Some(&self.agent)
                || words.next().is_some_and(|owner| {
                    processes
                        .iter()
                        .any(|process| owner.split('-').any(|part| part == process.to_string()))
                })
        };
        list.lines().filter(ours).map(str::to_owned).collect()
    }

    /// Returns the sessions and cages that there are; a cage is taken away when its end was told already.
    fn cages(&self) -> Vec<String> {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            let mut all = Vec::new();
            for directory in ["store/sessions", "store/cages"] {
                let directory = self.aicage_home().join(directory);
                let entries = fs_err::read_dir(directory).into_iter().flatten().flatten();
                all.extend(entries.map(|entry| entry.path().display().to_string()));
            }
            if all.is_empty() || std::time::Instant::now() > until {
                return all;
            }
            std::thread::yield_now();
        }
    }

    /// Returns what the logs of steps hold, by file name.
    pub(crate) fn logs(&self) -> BTreeMap<String, Vec<u8>> {
        let Ok(directory) = fs_err::read_dir(self.aicage_home().join("logs")) else {
            return BTreeMap::new();
        };
        directory
            .map(|entry| {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                (name, fs_err::read(entry.path()).unwrap())
            })
            .collect()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if self.is_native() {
            // A test that failed may have left some.
            let _said = self.aicage(&["stop", "--all", "-t", "0"]).output();
            return;
        }
        let script = "docker -H $1 ps -aq --filter label=io.github.aicage.agent=$2 | xargs -r docker -H $1 rm -f
            docker -H $1 images --format '{{.Repository}}:{{.Tag}}' | grep -F -- \"$2\" | xargs -r docker -H $1 rmi -f";
        // A test that failed has said what matters.
        let _said = Command::new("sh")
            .args(["-c", script, "sh", &self.engine, &self.agent])
            .output();
    }
}

/// What a program said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// Runs a program to its end and expects this exit code.
    #[track_caller]
    pub(crate) fn of(command: &mut Command, code: i32) -> Self {
        let output = command.output().unwrap();
        Self::judge(&output, code, &format!("{command:?}"))
    }

    /// Expects this exit code of a program that has ended.
    #[track_caller]
    pub(crate) fn judge(output: &Output, code: i32, what: &str) -> Self {
        let said = Self {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        assert_eq!(
            output.status.code(),
            Some(code),
            "exit code of {what}\nstdout: {}\nstderr: {}",
            said.stdout,
            said.stderr
        );
        said
    }

    /// Expects a text on stderr.
    #[track_caller]
    pub(crate) fn tells(&self, text: &str) {
        // Lines are wrapped at the terminal's width.
        let flat = self.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(text), "no `{text}` in: {}", self.stderr);
    }
}

/// Starts a program whose output is read, and expects this first line of it.
#[track_caller]
pub(crate) fn begun(command: &mut Command, first: &str) -> (Child, BufReader<ChildStdout>) {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let mut errors = String::new();
    if line != first {
        child.kill().unwrap();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut errors)
            .unwrap();
    }
    assert_eq!(line, first, "of {command:?}, which said: {errors}");
    (child, stdout)
}

/// Runs a shell script with arguments and returns what it printed.
#[track_caller]
pub(crate) fn shell(script: &str, arguments: &[&Path]) -> Vec<u8> {
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script, "bash"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{script}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}
