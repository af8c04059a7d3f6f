//! Runs one container as a session of ours, for the tests of the engine and for trying it by hand.
//!
//! `session terminal|pipe|empty ENDPOINT|native:STORE:PROGRAM IMAGE [@LABEL] [NAME=VALUE…] [SOURCE=>TARGET…] -- PROGRAM [ARGUMENT…]`
#![expect(
    clippy::print_stderr,
    reason = "a program for tests says what went wrong"
)]

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use aicage::container_options::Resolved;
use aicage::engine::session::{
    Access, DetachKeys, Ending, Network, SessionInput, SessionLog, SessionMount, SessionName,
    SessionSpec, Talk, WhenEnded, run_session,
};
use aicage::engine::{
    Engine,
    docker::{EngineError, EngineSettings, connect},
    native::Native,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("see this file's first lines");
    let input = match next().as_str() {
        "terminal" => SessionInput::Terminal,
        "pipe" => SessionInput::Pipe,
        _ => SessionInput::Empty,
    };
    let place = next();
    let image = next();
    let mut label = "by hand".to_owned();
    let mut env = BTreeMap::new();
    let mut mounts = Vec::new();
    for argument in arguments.by_ref() {
        if argument == "--" {
            break;
        } else if let Some(value) = argument.strip_prefix('@') {
            value.clone_into(&mut label);
        } else if let Some((source, target)) = argument.split_once("=>") {
            mounts.push(SessionMount {
                source: PathBuf::from(source),
                target: PathBuf::from(target),
                access: Access::ReadWrite,
            });
        } else if let Some((name, value)) = argument.split_once('=') {
            env.insert(name.to_owned(), value.to_owned());
        }
    }
    let spec = SessionSpec {
        image,
        entrypoint: Some(Vec::new()),
        command: arguments.collect(),
        env,
        mounts,
        working_dir: None,
        user: None,
        userns: None,
        security: Vec::new(),
        name: SessionName::Any,
        labels: BTreeMap::from([("io.github.aicage.session".to_owned(), label)]),
        input,
        ended: WhenEnded::Removed,
        log: SessionLog::Bounded,
        network: Network::None,
        extra_hosts: Vec::new(),
        options: Resolved::default(),
    };
    let talk = Talk {
        input,
        keys: &DetachKeys::default(),
        tell: &|text| eprintln!("{text}"),
    };
    let outcome = match engine(place).await {
        Ok(engine) => run_session(&engine, &spec, &talk).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(Ending::Exited { status, .. }) => ExitCode::from(u8::try_from(status).unwrap_or(255)),
        Ok(ending) => {
            eprintln!("{ending:?}");
            ExitCode::from(125)
        }
        Err(error) => {
            eprintln!("{error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(source) = cause {
                eprintln!("  caused by: {source}");
                cause = source.source();
            }
            ExitCode::from(match error {
                EngineError::Start { status, .. } => u8::try_from(status).unwrap_or(125),
                EngineError::Native(_) => 125,
                EngineError::Interrupted => 130,
                _ => 1,
            })
        }
    }
}

async fn engine(place: String) -> Result<Engine, EngineError> {
    if let Some((store, program)) = place
        .strip_prefix("native:")
        .and_then(|rest| rest.split_once(':'))
    {
        let ids = (rustix::process::geteuid(), rustix::process::getegid());
        let name = std::process::Command::new("id").arg("-un").output();
        let name = name.map_err(|source| EngineError::Host {
            what: "find out who we are",
            source,
        })?;
        let name = String::from_utf8_lossy(&name.stdout).trim().to_owned();
        let account = (name.as_str(), ids.0.as_raw(), ids.1.as_raw());
        let native = Native::new(store.into(), account);
        return Ok(Engine::Native(native.with_program(program.into())));
    }
    let settings = EngineSettings {
        host: Some(place),
        ..EngineSettings::default()
    };
    connect(&settings).await.map(Engine::Docker)
}
