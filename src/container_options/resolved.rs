//! Options as they are carried out: files read, paths absolute, what is never given away refused.

use std::{collections::BTreeSet, path::Path};

use crate::{
    diagnostic::Diagnostic,
    engine::docker::EngineInfo,
    engine::session::{SessionName, SessionSpec},
    exit_status::ExitStatus,
    session::guard,
    settings::Settings,
    small_file::{self, SmallFile},
};

use super::{
    Flags,
    defaults::Defaults,
    mount::MountKind,
    security::SecurityOption,
    variable::{self, Variable},
};

/// Where our init starts the agent.
const WORKSPACE: &str = "AICAGE_WORKSPACE";

/// The largest seccomp profile that is read.
const PROFILE_LIMIT: u64 = 1 << 20;

/// What is carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// The options, with absolute paths, and with the defaults under them.
    pub flags: Flags,
    /// Variables as `NAME=VALUE`, or `NAME` for one that is passed on: those of files first, as docker has it.
    pub env: Vec<String>,
    /// The seccomp profile itself, which the engine wants instead of a file's name.
    pub seccomp: Option<String>,
    /// What it is kept from unless the options say otherwise.
    pub defaults: Defaults,
}

impl Resolved {
    /// Lays the options over a composed session: what was asked for takes the place of what we would have done.
    pub fn laid_over(mut self, mut spec: SessionSpec, engine: &EngineInfo) -> SessionSpec {
        let mut defaults = self.defaults;
        if engine.is_podman() {
            // It has a limit of its own, and as a user it often may not set any.
            defaults.pids_limit = 0;
        }
        let mut flags = defaults.under(std::mem::take(&mut self.flags));
        if let Some(directory) = &flags.workdir
            && !self
                .env
                .iter()
                .any(|variable| variable.starts_with(&format!("{WORKSPACE}=")))
        {
            spec.env.insert(WORKSPACE.to_owned(), directory.clone());
        }
        if flags.entrypoint.is_none() {
            // Our own init is what `--init` asks for.
            flags.init = None;
        }
        for label in &flags.label {
            spec.labels.insert(label.name.clone(), label.value.clone());
        }
        if let Some(name) = &flags.name {
            spec.name = SessionName::Exactly(name.to_string());
        }
        let taken: BTreeSet<&Path> = flags.targets().map(Path::new).collect();
        spec.mounts
            .retain(|mount| !taken.contains(mount.target.as_path()));
        spec.options = Self { flags, ..self };
        spec
    }
}

/// Carries out what can be done before there is a container.
pub fn resolve(settings: &Settings, mut flags: Flags) -> Result<Resolved, Diagnostic> {
    for volume in &mut flags.volume {
        if volume.is_bind() {
            let path = source(settings, volume.source.as_deref(), "a `--volume`")?;
            if path.contains(':') {
                return Err(refused(
                    "volume",
                    format!("`--volume` cannot mount {path}: there is a colon in its name"),
                )
                .hint("`--mount type=bind,source=PATH,target=PATH` can"));
            }
            volume.source = Some(path);
        }
    }
    for mount in &mut flags.mount {
        if mount.kind == MountKind::Bind {
            let path = source(settings, mount.source.as_deref(), "a `--mount`")?;
            if !Path::new(&path).exists() {
                return Err(refused(
                    "mount",
                    format!("`--mount` cannot mount {path}: there is nothing"),
                )
                .hint("make it first; `--volume` has the engine make a directory"));
            }
            mount.source = Some(path);
        }
        // With `o=bind` the engine mounts what this names, from its own root on.
        let devices = mount
            .details("volume-opt")
            .filter_map(|option| option.strip_prefix("device="));
        for device in devices {
            let path = Path::new("/").join(device);
            source(settings, path.to_str(), "a `--mount`")?;
        }
    }
    for file in &mut flags.env_file {
        *file = settings.user_path(file);
    }
    let env = variables(&flags)?;
    let seccomp = profile(settings, &mut flags)?;
    if let Some(path) = flags.workdir.as_ref().filter(|path| !path.starts_with('/')) {
        return Err(refused(
            "workdir",
            format!("`--workdir {path}` is no absolute path in the container"),
        ));
    }
    Ok(Resolved {
        flags,
        env,
        seccomp,
        defaults: Defaults::default(),
    })
}

fn refused(option: &str, message: String) -> Diagnostic {
    let hint = format!("`aicage --help` shows what `--{option}` takes");
    Diagnostic::new("container-option", ExitStatus::Usage, message).hint(hint.as_str())
}

/// Returns a path of this machine as an absolute one; refuses what is never given away.
fn source(settings: &Settings, text: Option<&str>, what: &str) -> Result<String, Diagnostic> {
    let path = settings.user_path(Path::new(text.unwrap_or_default()));
    // What is mounted is what was looked at: engines take a `..` behind a link for another place than the system does.
    let path = if guard::climbs(&path) {
        guard::real(&path)
    } else {
        guard::tidy(&path)
    };
    guard::refuse_home(settings, &path, what)?;
    guard::refuse_own(settings, &path, what)?;
    path.into_os_string().into_string().map_err(|path| {
        refused(
            "mount",
            format!("{what} is {}, which is not UTF-8 text", path.display()),
        )
    })
}

fn variables(flags: &Flags) -> Result<Vec<String>, Diagnostic> {
    let mut all = Vec::new();
    for file in &flags.env_file {
        let read = variable::read_file(file).map_err(|error| {
            let message = format!("the file of variables {} cannot be used", file.display());
            Diagnostic::new("env-file", ExitStatus::Usage, message)
                .caused_by(Some(&error))
                .hint("each line is `NAME=VALUE`, or `NAME` to pass a variable on; quotes are part of the value; `#` begins a comment line")
        })?;
        all.extend(read.iter().map(Variable::to_string));
    }
    all.extend(flags.env.iter().map(Variable::to_string));
    Ok(all)
}

/// Reads the seccomp profile that is named last.
fn profile(settings: &Settings, flags: &mut Flags) -> Result<Option<String>, Diagnostic> {
    let mut profile = None;
    for option in &mut flags.security_opt {
        let SecurityOption::SeccompFile(file) = option else {
            continue;
        };
        *file = settings.user_path(file);
        profile = Some(read_profile(file)?);
    }
    Ok(profile)
}

fn read_profile(file: &Path) -> Result<String, Diagnostic> {
    let wrong = |why: String| {
        let message = format!("the seccomp profile {} cannot be used", file.display());
        Diagnostic::new("container-option", ExitStatus::Usage, message)
            .caused_by_words(why)
            .hint("`--security-opt seccomp=` takes a JSON file, `unconfined` or `builtin`")
    };
    let bytes = match small_file::read(file, PROFILE_LIMIT) {
        Ok(SmallFile::Content(bytes)) => bytes,
        Ok(SmallFile::Missing) => return Err(wrong("there is no such file".to_owned())),
        Ok(SmallFile::TooLarge(size)) => {
            return Err(wrong(format!(
                "it has {size} bytes, and {PROFILE_LIMIT} are read"
            )));
        }
        Err(error) => return Err(wrong(error.to_string())),
    };
    let parsed: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    Ok(parsed.to_string())
}
