//! One value of every failure, so that all words can be read like prose in `doc/errors.md`.
//!
//! Invariant: every code in the `from_*` files is here; `doc/errors.md` is what [`document`] writes.
//! `AICAGE_UPDATE=1 cargo test -p aicage errors_md` writes it anew.

#![expect(clippy::too_many_lines, reason = "lists of one value after the other")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use assembler::{
    archive::ArchiveError,
    assemble::AssembleError,
    definition_files::FilesError,
    digest::{DiffId, Digest, DigestError},
    dockerfile::{ContextError, DockerfileError, TreeError},
    manifest::ManifestError,
    platform::{Platform, PlatformError},
    provenance::{Kind, Origin},
    reference::{ImageReference, ReferenceError},
    sandbox::{CaptureError, SandboxError},
    store::{Doing, StoreError},
    transport::TransportError,
};
use layer::{
    LayerPath, PathError,
    tar::{ReadError, RecanonicaliseError, WriteError},
};
use registry::{CredentialError, RedactedUrl, RegistryError, TlsFault};

use super::Diagnostic;
use crate::{
    definition::DefinitionError,
    engine::docker::{EngineError, WireError},
    exit_status::ExitStatus,
    extended_image::ExtendedImageError,
    init_program::InitProgramError,
    printer::{Colour, PrintError},
    project::ProjectError,
    settings::SettingsError,
    yaml::YamlError,
};

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn io_error(kind: io::ErrorKind) -> io::Error {
    io::Error::new(kind, kind.to_string())
}

fn denied() -> io::Error {
    io_error(io::ErrorKind::PermissionDenied)
}

fn full() -> io::Error {
    io_error(io::ErrorKind::StorageFull)
}

fn json() -> serde_json::Error {
    serde_json::from_str::<u8>("{").unwrap_err()
}

fn http() -> reqwest::Error {
    reqwest::Proxy::all("http://[").unwrap_err()
}

fn url() -> RedactedUrl {
    RedactedUrl::of_text("https://ghcr.io/v2/owner/name/manifests/latest")
}

fn path(name: &str) -> LayerPath {
    name.parse().unwrap()
}

fn store(name: &str) -> PathBuf {
    Path::new("/home/me/.aicage/store").join(name)
}

fn origin() -> Origin {
    Origin {
        kind: Kind::Agent,
        id: "codex".to_owned(),
        version: Some("1.2".to_owned()),
    }
}

fn layers() -> Vec<Diagnostic> {
    let text = "etc/passwd".to_owned();
    vec![
        PathError::Absolute {
            path: "/etc/passwd".to_owned(),
        }
        .into(),
        PathError::ParentComponent {
            path: "../etc".to_owned(),
        }
        .into(),
        PathError::Nul {
            path: "a\\0b".to_owned(),
        }
        .into(),
        PathError::Reserved {
            path: "etc/.wh.x".to_owned(),
        }
        .into(),
        ReadError::Io { source: denied() }.into(),
        ReadError::Truncated {
            place: text.clone(),
        }
        .into(),
        ReadError::Header {
            position: 512,
            reason: "its checksum is wrong",
        }
        .into(),
        ReadError::Entry {
            path: text.clone(),
            reason: "it is of an unknown kind",
        }
        .into(),
        ReadError::Path {
            source: PathError::ParentComponent {
                path: "../x".to_owned(),
            },
        }
        .into(),
        ReadError::Limit {
            place: text.clone(),
            what: "the number of entries",
            limit: 4_000_000,
        }
        .into(),
        WriteError::Io { source: full() }.into(),
        WriteError::Content {
            path: path(&text),
            source: denied(),
        }
        .into(),
        WriteError::ShortContent {
            path: path(&text),
            size: 9,
            found: 3,
        }
        .into(),
        WriteError::LongContent {
            path: path(&text),
            size: 9,
        }
        .into(),
        WriteError::Unsorted {
            path: path(&text),
            last: "usr".to_owned(),
        }
        .into(),
        WriteError::Duplicate { path: path(&text) }.into(),
        WriteError::NoDirectory { path: path(&text) }.into(),
        WriteError::RemovedAndPut { path: path(&text) }.into(),
        WriteError::DanglingLink {
            path: path(&text),
            target: path("usr"),
        }
        .into(),
        WriteError::Unrepresentable {
            path: path(&text),
            reason: "its owner's number is too large",
        }
        .into(),
        RecanonicaliseError::NoEnd.into(),
        RecanonicaliseError::Trailing.into(),
        RecanonicaliseError::Io { source: denied() }.into(),
    ]
}

fn documents() -> Vec<Diagnostic> {
    let what = "manifest";
    vec![
        DigestError {
            text: "sha256:12".to_owned(),
        }
        .into(),
        PlatformError {
            text: "linux".to_owned(),
        }
        .into(),
        "Debian:stable"
            .parse::<ImageReference>()
            .map_err(|error: ReferenceError| error)
            .unwrap_err()
            .into(),
        ManifestError::Json {
            what,
            digest: digest("a"),
            source: json(),
        }
        .into(),
        ManifestError::TooLarge {
            what,
            size: 100_000_000,
            limit: 8 << 20,
        }
        .into(),
        ManifestError::Invalid {
            what,
            digest: digest("a"),
            reason: "it has 3 layers, but its config has 2 diff ids".to_owned(),
        }
        .into(),
        ManifestError::Unsupported {
            digest: digest("a"),
            media_type: "application/vnd.cncf.helm.config.v1+json".to_owned(),
        }
        .into(),
        ManifestError::NoPlatform {
            digest: digest("a"),
            platform: Platform::linux("arm64"),
            offered: "linux/amd64".to_owned(),
        }
        .into(),
    ]
}

fn stores() -> Vec<Diagnostic> {
    let (a, b) = (digest("a"), digest("b"));
    vec![
        StoreError::Io {
            doing: Doing::Write,
            path: store("index.json"),
            source: denied(),
        }
        .into(),
        StoreError::Full {
            path: store("ingest/tmp-1"),
            source: full(),
        }
        .into(),
        StoreError::Layout {
            path: store(""),
            reason: "it has files that are not ours",
        }
        .into(),
        StoreError::Newer {
            path: store("images/x.json"),
            version: 2,
            known: 1,
        }
        .into(),
        StoreError::Busy {
            path: store(""),
            waited: Duration::from_secs(10),
        }
        .into(),
        StoreError::Missing { digest: a }.into(),
        StoreError::Corrupt {
            expected: a,
            found: b,
        }
        .into(),
        StoreError::WrongSize {
            digest: a,
            expected: 9,
            found: 3,
        }
        .into(),
        StoreError::TooLarge {
            digest: a,
            size: 100_000_000,
            limit: 8 << 20,
        }
        .into(),
        StoreError::Decompress {
            layer: a,
            source: io_error(io::ErrorKind::UnexpectedEof),
        }
        .into(),
        StoreError::Bomb {
            layer: a,
            limit: 1 << 40,
        }
        .into(),
        StoreError::DiffId {
            layer: a,
            expected: DiffId::new(a),
            found: DiffId::new(b),
        }
        .into(),
        StoreError::Tar {
            layer: a,
            source: ReadError::Truncated {
                place: "usr".to_owned(),
            },
        }
        .into(),
        TransportError::Read {
            path: "saved.tar".into(),
            source: denied(),
        }
        .into(),
        TransportError::Write {
            path: "out".into(),
            source: denied(),
        }
        .into(),
        TransportError::Tar {
            path: "saved.tar".into(),
            source: ReadError::Truncated {
                place: "x".to_owned(),
            },
        }
        .into(),
        TransportError::Member {
            path: "saved.tar".into(),
            member: "manifest.json".to_owned(),
        }
        .into(),
        TransportError::Invalid {
            path: "saved.tar".into(),
            member: "manifest.json".to_owned(),
            reason: "it names no image".to_owned(),
        }
        .into(),
        TransportError::Choice {
            path: "saved.tar".into(),
            what: "several images".to_owned(),
            available: "a:1, b:2".to_owned(),
        }
        .into(),
        ArchiveError::Length {
            name: "layer.tar".to_owned(),
            expected: 9,
        }
        .into(),
        ArchiveError::Write { source: full() }.into(),
    ]
}

fn steps() -> Vec<Diagnostic> {
    let step = |source| AssembleError::Step {
        origin: origin(),
        log: "/home/me/.aicage/logs/codex.log".into(),
        source,
    };
    let script = || SandboxError::Script {
        script: "install.sh".to_owned(),
        status: 100,
    };
    vec![
        CaptureError::Io(full()).into(),
        CaptureError::Blocked {
            path: "opt/aicage/init".to_owned(),
            by: "opt".to_owned(),
        }
        .into(),
        step(script()).into(),
        step(SandboxError::Step {
            reason: "no such file: /bin/sh".to_owned(),
        })
        .into(),
        step(SandboxError::Instruction {
            reason: "COPY b /x/ (Dockerfile line 5): /x/b is a directory, which no file replaces"
                .to_owned(),
        })
        .into(),
        step(SandboxError::TimeLimit {
            limit: Duration::from_mins(1),
        })
        .into(),
        step(SandboxError::Interrupted).into(),
        SandboxError::Log {
            path: "/home/me/.aicage/logs/x.log".into(),
            source: full(),
        }
        .into(),
        SandboxError::Engine {
            engine: "docker 28.5".to_owned(),
            source: Box::new(full()),
        }
        .into(),
        step(SandboxError::Engine {
            engine: "docker 28.5".to_owned(),
            source: Box::new(EngineError::Refused {
                what: "start the step".to_owned(),
                message: "no space".to_owned(),
            }),
        })
        .into(),
    ]
}

fn dockerfiles() -> Vec<Diagnostic> {
    let file = || "/home/me/.aicage/custom/extension/rust/Dockerfile".to_owned();
    let context = || PathBuf::from("/home/me/.aicage/custom/extension/rust");
    vec![
        AssembleError::Dockerfile(DockerfileError::Refused {
            file: file(),
            line: 7,
            reason: "ADD does not download: `https://example.org/x`".to_owned(),
            instead: "fetch it in a RUN".to_owned(),
        })
        .into(),
        DockerfileError::TooLarge {
            file: file(),
            limit: 1 << 20,
        }
        .into(),
        DockerfileError::Secret {
            id: "token".to_owned(),
            from: "/home/me/token".to_owned(),
            source: denied(),
        }
        .into(),
        DockerfileError::Copy {
            file: file(),
            line: 3,
            source: TreeError::Io(full()),
        }
        .into(),
        ContextError::Read {
            path: context(),
            source: denied(),
        }
        .into(),
        ContextError::TooLarge {
            path: context(),
            what: "files",
            limit: 100_000,
        }
        .into(),
        ContextError::Changed { path: context() }.into(),
        ContextError::Special { path: context() }.into(),
        ContextError::Ignore {
            path: context(),
            why: "is no regular file",
        }
        .into(),
        ContextError::Pattern {
            path: context(),
            line: 3,
            pattern: "[".to_owned(),
        }
        .into(),
    ]
}

fn credentials() -> Vec<Diagnostic> {
    let program = || "docker-credential-pass".to_owned();
    let file = || PathBuf::from("/home/me/.docker/config.json");
    vec![
        CredentialError::Read { source: denied() }.into(),
        CredentialError::Json {
            path: file(),
            source: json(),
        }
        .into(),
        CredentialError::TooLarge {
            path: file(),
            limit: 1 << 20,
        }
        .into(),
        CredentialError::Entry {
            path: file(),
            key: "ghcr.io".to_owned(),
        }
        .into(),
        CredentialError::NoHelper {
            program: program(),
            file: file(),
        }
        .into(),
        CredentialError::Spawn {
            program: program(),
            source: denied(),
        }
        .into(),
        CredentialError::HelperTimeout {
            program: program(),
            after: Duration::from_secs(30),
        }
        .into(),
        CredentialError::HelperFailed {
            program: program(),
            message: "locked".to_owned(),
        }
        .into(),
        CredentialError::HelperAnswer { program: program() }.into(),
    ]
}

fn registries() -> Vec<Diagnostic> {
    let registry = || "ghcr.io".to_owned();
    let refused = |had_credentials| RegistryError::Unauthorized {
        registry: registry(),
        repository: "owner/name".to_owned(),
        had_credentials,
        message: "denied".to_owned(),
    };
    let tls = |fault| RegistryError::Tls {
        host: registry(),
        fault,
        source: http(),
    };
    let wait = Some(Duration::from_secs(30));
    let reference = || "ghcr.io/owner/name:old".to_owned();
    vec![
        refused(false).into(),
        refused(true).into(),
        RegistryError::Credentials {
            registry: registry(),
            source: CredentialError::HelperAnswer {
                program: "docker-credential-pass".to_owned(),
            },
        }
        .into(),
        RegistryError::Realm {
            registry: registry(),
            realm: url(),
            reason: "it is not HTTPS",
        }
        .into(),
        RegistryError::Protocol {
            url: url(),
            reason: "no `Location`".to_owned(),
        }
        .into(),
        RegistryError::NotFound {
            registry: registry(),
            what: "manifest owner/name:latest".to_owned(),
        }
        .into(),
        RegistryError::RateLimited {
            registry: registry(),
            retry_after: wait,
            message: String::new(),
        }
        .into(),
        RegistryError::Status {
            url: url(),
            status: 503,
            retry_after: None,
            message: String::new(),
        }
        .into(),
        tls(TlsFault::UnknownAuthority).into(),
        tls(TlsFault::WrongName).into(),
        tls(TlsFault::Expired).into(),
        tls(TlsFault::Certificate).into(),
        tls(TlsFault::Handshake).into(),
        RegistryError::Connect {
            host: registry(),
            source: http(),
        }
        .into(),
        RegistryError::Timeout {
            url: url(),
            after: Duration::from_secs(30),
        }
        .into(),
        RegistryError::Broken {
            url: url(),
            source: None,
        }
        .into(),
        RegistryError::WrongDigest {
            url: url(),
            expected: digest("a"),
            found: digest("b"),
        }
        .into(),
        RegistryError::WrongSize {
            url: url(),
            expected: 9,
            found: 10,
        }
        .into(),
        RegistryError::TooLarge {
            url: url(),
            what: "manifest",
            limit: 8 << 20,
        }
        .into(),
        RegistryError::Redirect {
            from: url(),
            to: url(),
            reason: "it leaves HTTPS",
        }
        .into(),
        RegistryError::Schema1 {
            reference: reference(),
        }
        .into(),
        RegistryError::Manifest {
            reference: reference(),
            source: ManifestError::Json {
                what: "manifest",
                digest: digest("a"),
                source: json(),
            },
        }
        .into(),
        RegistryError::Store {
            source: StoreError::Missing {
                digest: digest("a"),
            },
        }
        .into(),
        RegistryError::Setting {
            setting: "proxy `http://[`".to_owned(),
            source: None,
        }
        .into(),
    ]
}

fn engines() -> Vec<Diagnostic> {
    let endpoint = || "unix:///var/run/docker.sock".to_owned();
    let start = |status| EngineError::Start {
        message: "exec: not found".to_owned(),
        status,
    };
    vec![
        EngineError::Absent {
            tried: vec![endpoint()],
        }
        .into(),
        EngineError::Stopped {
            endpoint: endpoint(),
            source: io_error(io::ErrorKind::ConnectionRefused),
        }
        .into(),
        EngineError::NotPermitted {
            socket: "/var/run/docker.sock".into(),
            group: "docker".to_owned(),
            source: denied(),
        }
        .into(),
        EngineError::Unreachable {
            endpoint: endpoint(),
            source: WireError::Silent { seconds: 10 },
        }
        .into(),
        EngineError::UnknownContext {
            name: "desktop".to_owned(),
            path: "/home/me/.docker/contexts".into(),
            source: denied(),
        }
        .into(),
        EngineError::BadConfiguration {
            path: "/home/me/.docker/config.json".into(),
            reason: "no object".to_owned(),
        }
        .into(),
        EngineError::UnsupportedEndpoint {
            endpoint: "ssh://host".to_owned(),
            reason: "forward its socket with `ssh -L`",
        }
        .into(),
        EngineError::Left {
            container: "0123456789ab".to_owned(),
            removal: Box::new(EngineError::Refused {
                what: "remove the container".to_owned(),
                message: "device or resource busy".to_owned(),
            }),
            source: Box::new(EngineError::Interrupted),
        }
        .into(),
        EngineError::TooOld {
            endpoint: endpoint(),
            api: "1.39".to_owned(),
        }
        .into(),
        EngineError::Refused {
            what: "create a container".to_owned(),
            message: "no space left".to_owned(),
        }
        .into(),
        EngineError::Call {
            what: "list images".to_owned(),
            source: bollard::errors::Error::RequestTimeoutError,
        }
        .into(),
        EngineError::Archive { source: full() }.into(),
        EngineError::Foreign {
            reference: "mine/tools:1".to_owned(),
        }
        .into(),
        EngineError::Load {
            reference: "aicage:codex-debian".to_owned(),
            reason: "it has other layers".to_owned(),
        }
        .into(),
        EngineError::Memory {
            source: StoreError::Full {
                path: store("engines"),
                source: full(),
            },
        }
        .into(),
        start(127).into(),
        start(126).into(),
        start(125).into(),
        EngineError::Interrupted.into(),
        EngineError::Host {
            what: "read the terminal",
            source: denied(),
        }
        .into(),
    ]
}

fn program() -> Vec<Diagnostic> {
    let file = || PathBuf::from("/home/me/.aicage/config.yml");
    vec![
        PrintError::Stdout(full()).into(),
        PrintError::Json(json()).into(),
        InitProgramError::Unsupported {
            architecture: "riscv64".to_owned(),
        }
        .into(),
        InitProgramError::NotEmbedded {
            architecture: "arm64".to_owned(),
        }
        .into(),
        YamlError::Read {
            path: file(),
            source: denied(),
        }
        .into(),
        YamlError::TooLarge {
            path: file(),
            size: 100_000_000,
        }
        .into(),
        YamlError::Encoding { path: file() }.into(),
        YamlError::Content {
            path: file(),
            line: 3,
            reason: "unknown field `mirors`".to_owned(),
        }
        .into(),
        YamlError::Write {
            path: file(),
            reason: "a key is no text".to_owned(),
        }
        .into(),
        DefinitionError::Missing {
            directory: "custom/agents/x".into(),
            missing: "agent.yml".to_owned(),
        }
        .into(),
        DefinitionError::Value {
            path: "custom/agents/x/agent.yml".into(),
            reason: "`agent_path` is empty".to_owned(),
        }
        .into(),
        DefinitionError::Files(FilesError::Read {
            path: "custom/agents/x/install.sh".into(),
            source: denied(),
        })
        .into(),
        FilesError::Refused {
            path: "custom/agents/x/data".into(),
            reason: "a link that leads in a circle".to_owned(),
        }
        .into(),
        FilesError::Changed {
            path: "custom/agents/x/install.sh".into(),
        }
        .into(),
        SettingsError::NoHome.into(),
        SettingsError::Directory(denied()).into(),
    ]
}

fn projects() -> Vec<Diagnostic> {
    let file = || PathBuf::from("/home/me/.aicage/projects/4f1a.yml");
    vec![
        ProjectError::Damaged {
            path: file(),
            source: YamlError::Content {
                path: file(),
                line: 3,
                reason: "the key `base` is there twice".to_owned(),
            },
        }
        .into(),
        ProjectError::Shape {
            path: file(),
            line: 2,
            key: "agents".to_owned(),
            expected: "keys and values",
        }
        .into(),
        ProjectError::Newer {
            path: file(),
            version: "2".to_owned(),
        }
        .into(),
        ProjectError::Write {
            path: file(),
            source: full(),
        }
        .into(),
        ExtendedImageError::Value {
            path: "/home/me/.aicage/custom/image-extended/mine/image-extended.yml".into(),
            reason: "`extensions` is empty".to_owned(),
        }
        .into(),
        ExtendedImageError::Write {
            path: "/home/me/.aicage/custom/image-extended/mine/image-extended.yml".into(),
            source: full(),
        }
        .into(),
        ProjectError::Busy {
            path: "/home/me/.aicage/projects/.lock".into(),
            seconds: 10,
        }
        .into(),
    ]
}

fn every() -> Vec<Diagnostic> {
    [
        documents(),
        layers(),
        stores(),
        steps(),
        dockerfiles(),
        credentials(),
        registries(),
        engines(),
        program(),
        projects(),
    ]
    .concat()
}

/// Writes `doc/errors.md`.
fn document() -> String {
    let mut text = String::from(
        "# Exit codes and failures\n\n\
         Generated from the program by `AICAGE_UPDATE=1 cargo test -p aicage errors_md`; a test fails when it differs.\n\n\
         A failure goes to stderr: what could not be done, causes, facts, one hint. With `--json` or `--progress json` it is\n\
         one JSON object with the same words: `schema`, `event` (`error`), `code`, `exit_status`, `message`, `causes`, `facts`,\n\
         `output` (the last lines of a script), `hint`.\n\n\
         ## Exit codes\n\n| code | meaning |\n|---|---|\n",
    );
    for status in ExitStatus::OURS {
        writeln!(text, "| {} | {} |", status.code(), status.meaning()).unwrap();
    }
    text.push_str("| other | the agent's own |\n\n## Failures\n");
    let mut by_code: BTreeMap<&str, Vec<Diagnostic>> = BTreeMap::new();
    for diagnostic in every() {
        by_code
            .entry(diagnostic.code())
            .or_default()
            .push(diagnostic);
    }
    for (code, diagnostics) in &by_code {
        let exit = diagnostics[0].status().code();
        write!(text, "\n### `{code}` (exit code {exit})\n\n```text\n").unwrap();
        let shown: Vec<String> = diagnostics
            .iter()
            .map(|diagnostic| diagnostic.render(100, Colour::Never).join("\n"))
            .collect();
        writeln!(text, "{}\n```", shown.join("\n\n")).unwrap();
    }
    text.push_str("\n## Failures that commands find themselves\n\nTheir words say what was asked for.\n\n| code | exit code |\n|---|---|\n");
    for (code, exits) in codes_of_commands() {
        let exits: Vec<String> = exits.iter().map(u8::to_string).collect();
        writeln!(text, "| `{code}` | {} |", exits.join(" or ")).unwrap();
    }
    text
}

fn source_root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))
}

/// Finds the codes that commands give to `Diagnostic::new` and `Diagnostic::of`, and the statuses they stand with.
fn codes_of_commands() -> BTreeMap<String, BTreeSet<u8>> {
    let mut codes: BTreeMap<String, BTreeSet<u8>> = BTreeMap::new();
    for file in sources(source_root()) {
        if file.starts_with(source_root().join("diagnostic")) {
            continue;
        }
        let text = fs_err::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let calls = ["Diagnostic::new(", "Diagnostic::of("];
        for rest in calls.iter().flat_map(|call| text.split(call).skip(1)) {
            let Some(code) = literal(rest) else { continue };
            let argument = rest.split(',').nth(1).unwrap_or_default().trim();
            let named = argument.strip_prefix("ExitStatus::");
            let exits = codes.entry(code).or_default();
            match ExitStatus::OURS
                .into_iter()
                .find(|status| named == Some(&format!("{status:?}")))
            {
                Some(status) => exits.extend([status.code()]),
                // Computed before: such a command fails otherwise while offline.
                None => exits.extend([ExitStatus::Failed.code(), ExitStatus::Offline.code()]),
            }
        }
    }
    codes
}

/// Returns a string literal that a text starts with.
fn literal(text: &str) -> Option<String> {
    let text = text.trim_start().strip_prefix('"')?;
    text.split_once('"')
        .map(|(literal, _rest)| literal.to_owned())
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs_err::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn every_code_of_the_judgements_has_an_example() {
    let shown: BTreeSet<String> = every().iter().map(|one| one.code().to_owned()).collect();
    for file in sources(&source_root().join("diagnostic")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        if !name.starts_with("from_") {
            continue;
        }
        let text = fs_err::read_to_string(&file).unwrap();
        let calls = ["failed(", "usage(", "system(", "ending(", "not_started("];
        for code in calls
            .iter()
            .flat_map(|call| text.split(call).skip(1))
            .filter_map(literal)
        {
            assert!(
                shown.contains(&code),
                "`{code}` of {name} has no example in the catalogue"
            );
        }
    }
}

#[test]
fn no_failure_speaks_like_a_program() {
    for diagnostic in every() {
        let message = diagnostic.message();
        assert!(!message.ends_with('.'), "a full stop ends: {message}");
        assert!(!message.contains("{ "), "a value is shown raw: {message}");
        for cause in &diagnostic.causes {
            assert_ne!(cause, message, "a cause repeats its failure");
        }
    }
}

#[test]
fn errors_md_is_what_the_program_says() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/errors.md"));
    let document = document();
    #[expect(
        clippy::disallowed_methods,
        reason = "a switch for whoever runs this test, not for users"
    )]
    if std::env::var_os("AICAGE_UPDATE").is_some() {
        fs_err::write(path, &document).unwrap();
    }
    let written = fs_err::read_to_string(path).unwrap_or_default();
    let line = document
        .lines()
        .zip(written.lines())
        .position(|(new, old)| new != old);
    assert!(
        document == written,
        "doc/errors.md differs from line {} on; write it anew with AICAGE_UPDATE=1",
        line.map_or(written.lines().count(), |line| line) + 1
    );
}
