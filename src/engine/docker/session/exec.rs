//! Another program in a container.
//!
//! Engines cannot signal such a program, so each has a variable that no other has ([`MARK`]), by which it is found inside.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::create::assignments;
use crate::engine::{
    docker::{Docker, WireError, attach::UNLIKELY_KEYS, error::EngineError, owner::Owner, wire},
    session::{Bytes, ExecSpec, KILLED, SessionInput},
};

/// The variable by which a program of ours is known inside.
const MARK: &str = "AICAGE_EXEC";
/// Longest answer to a call.
const ANSWER_LIMIT: usize = 1 << 20;

/// A program that is or was in a container.
#[derive(Debug)]
pub(crate) struct DockerProgram {
    docker: Docker,
    container: String,
    id: String,
    spec: ExecSpec,
    mark: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreatedExec {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedExec {
    exit_code: Option<i32>,
    #[serde(default)]
    running: bool,
}

impl Docker {
    /// Prepares a program; it does not run yet.
    pub(crate) async fn prepare_program(
        &self,
        container: &str,
        spec: &ExecSpec,
    ) -> Result<DockerProgram, EngineError> {
        let mark = Owner::this_process().to_string();
        let mut spec = spec.clone();
        spec.env.insert(MARK.to_owned(), mark.clone());
        Ok(DockerProgram {
            id: create(self, container, &spec).await?,
            docker: self.clone(),
            container: container.to_owned(),
            spec,
            mark,
        })
    }
}

async fn create(docker: &Docker, container: &str, spec: &ExecSpec) -> Result<String, EngineError> {
    let reads = spec.input != SessionInput::Empty;
    let mut body = json!({
        "AttachStdin": reads,
        "AttachStdout": true,
        "AttachStderr": true,
        "Tty": spec.input == SessionInput::Terminal,
        "DetachKeys": UNLIKELY_KEYS,
        "Env": assignments(&spec.env),
        "Cmd": spec.words(),
        "User": spec.user,
    });
    if let (Some(directory), Some(object)) = (&spec.working_dir, body.as_object_mut()) {
        object.insert("WorkingDir".to_owned(), json!(directory));
    }
    let path = docker.path(&format!("/containers/{container}/exec"));
    let answer = docker.endpoint().post_json(&path, &body).await;
    let created = async {
        let bytes = wire::collect(answer?.into_body(), ANSWER_LIMIT).await?;
        serde_json::from_slice::<CreatedExec>(&bytes).map_err(WireError::Json)
    };
    let created = created.await;
    Ok(created
        .map_err(|error| docker.failed("prepare a program in the container", error))?
        .id)
}

impl DockerProgram {
    /// Starts it and connects to it.
    pub(crate) async fn start(&self) -> Result<Box<dyn Bytes>, EngineError> {
        let path = self.docker.path(&format!("/exec/{}/start", self.id));
        let is_terminal = self.spec.input == SessionInput::Terminal;
        let body = json!({"Detach": false, "Tty": is_terminal});
        let stream = self.docker.endpoint().hijack_with(&path, &body).await;
        let failed = |error| self.docker.failed("run a program in the container", error);
        Ok(Box::new(stream.map_err(failed)?))
    }

    /// Asks for the program's exit status; there is none while it runs.
    pub(crate) async fn status(&self) -> Result<Option<i32>, EngineError> {
        let path = self.docker.path(&format!("/exec/{}/json", self.id));
        match self.docker.endpoint().get::<InspectedExec>(&path).await {
            Ok((_, exec)) if exec.running => Ok(None),
            Ok((_, exec)) => Ok(Some(exec.exit_code.unwrap_or(1))),
            // The container ended, and all in it was killed.
            Err(WireError::Answer { status: 404, .. }) => Ok(Some(KILLED)),
            Err(error) => Err(self.docker.failed("run a program in the container", error)),
        }
    }

    /// Tells its terminal another size.
    pub(crate) async fn resize(&self, (height, width): (u16, u16)) {
        let path = format!("/exec/{}/resize?h={height}&w={width}", self.id);
        // A program that has just ended has no size.
        drop(self.docker.endpoint().post(&self.docker.path(&path)).await);
    }

    /// Sends a signal to the program and all that it started, from inside, with what every image with a shell has.
    pub(crate) async fn signal(&self, name: &str) {
        let script = format!(
            "for p in /proc/[0-9]*; do case \"$(tr '\\0' '\\n' <$p/environ 2>/dev/null)\" in \
             *{MARK}={}*) kill -{name} \"${{p#/proc/}}\" 2>/dev/null;; esac; done",
            self.mark
        );
        let killer = ExecSpec {
            command: vec!["sh".to_owned(), "-c".to_owned(), script],
            // As the program's user: even root must not look at the processes of others here.
            launcher: self.spec.launcher.clone(),
            env: BTreeMap::new(),
            user: self.spec.user.clone(),
            working_dir: None,
            input: SessionInput::Empty,
        };
        if let Ok(id) = create(&self.docker, &self.container, &killer).await {
            let path = self.docker.path(&format!("/exec/{id}/start"));
            let body = json!({"Detach": true, "Tty": false});
            drop(self.docker.endpoint().post_json(&path, &body).await);
        }
    }
}
