//! Builds the program that runs inside containers and lays it where `src/init_program.rs` embeds it.
//!
//! A cargo of its own builds `init` for Linux with musl, small and static, into this package's output directory: the
//! outer cargo holds the lock of its own target directory. The linker is the one that comes with Rust, so no C
//! toolchain is needed for the other architecture. An architecture whose target is not installed stays empty; release
//! builds embed all, others only the machine's own.
#![expect(
    clippy::disallowed_methods,
    reason = "a build script is told everything by its environment"
)]

use std::env::var;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];
const SOURCES: [&str; 5] = [
    "init/src",
    "init/Cargo.toml",
    "assembler/layer/src",
    "assembler/layer/Cargo.toml",
    "build.rs",
];

/// How the program is linked without a C toolchain.
const SELF_CONTAINED: [&str; 2] = ["-Clinker=rust-lld", "-Clink-self-contained=yes"];

struct Build {
    workspace: PathBuf,
    output: PathBuf,
    cargo: String,
    rustc: String,
}

#[path = "build/definitions.rs"]
mod definitions;

fn main() {
    definitions::embed();
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    let told = |name: &str| var(name).expect("cargo tells its build scripts");
    let build = Build {
        workspace: told("CARGO_MANIFEST_DIR").into(),
        output: told("OUT_DIR").into(),
        cargo: told("CARGO"),
        rustc: told("RUSTC"),
    };
    say_whether_native(&told("CARGO_CFG_TARGET_OS"));
    let own = told("CARGO_CFG_TARGET_ARCH");
    for architecture in ARCHITECTURES {
        let wanted = architecture == own || told("PROFILE") == "release";
        let program = if wanted {
            build.program(architecture)
        } else {
            None
        };
        let place = build.output.join(format!("init-{architecture}"));
        let laid = match program {
            Some(program) => fs_err::copy(program, place).map(drop),
            None => fs_err::write(place, b""),
        };
        laid.expect("the output directory can be written");
    }
}

/// Tells the program whether it can run containers by itself. What it is without that can be compiled here, too, so that
/// somebody does.
fn say_whether_native(system: &str) {
    const WITHOUT: &str = "AICAGE_WITHOUT_NATIVE";
    println!("cargo::rustc-check-cfg=cfg(native)");
    println!("cargo::rerun-if-env-changed={WITHOUT}");
    if system == "linux" && var(WITHOUT).is_err() {
        println!("cargo::rustc-cfg=native");
    }
}

impl Build {
    /// Builds the program for an architecture, if this machine has what it takes.
    fn program(&self, architecture: &str) -> Option<PathBuf> {
        let musl = format!("{architecture}-unknown-linux-musl");
        let gnu = format!("{architecture}-unknown-linux-gnu");
        let is_host = var("HOST").is_ok_and(|host| host == gnu);
        let (target, flags) = if self.is_installed(&musl) {
            (musl, SELF_CONTAINED.to_vec())
        } else if is_host {
            (gnu, vec!["-Ctarget-feature=+crt-static"])
        } else {
            println!(
                "cargo::warning=containers of {architecture} are not supported: `rustup target add {musl}`"
            );
            return None;
        };
        // What init needs is mostly there already; only a fresh machine has to ask the registry.
        let offline = self.cargo(&target, &flags, &["--offline"]);
        let built = if offline.status.success() {
            offline
        } else {
            self.cargo(&target, &flags, &[])
        };
        assert!(
            built.status.success(),
            "{}",
            String::from_utf8_lossy(&built.stderr)
        );
        Some(self.target_directory().join(target).join("release/init"))
    }

    fn is_installed(&self, target: &str) -> bool {
        let answer = Command::new(&self.rustc)
            .args(["--print", "target-libdir", "--target", target])
            .output();
        let directory = answer
            .ok()
            .filter(|answer| answer.status.success())
            .map(|answer| answer.stdout);
        directory.is_some_and(|path| Path::new(String::from_utf8_lossy(&path).trim()).is_dir())
    }

    fn cargo(&self, target: &str, flags: &[&str], more: &[&str]) -> Output {
        let mut command = Command::new(&self.cargo);
        // The outer build's flags, wrappers and target are not ours: clippy's driver would build no program.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let kept = [
                "CARGO_HOME",
                "CARGO_NET_",
                "CARGO_HTTP_",
                "CARGO_REGISTR",
                "CARGO_SOURCE",
                "CARGO_MAKEFLAGS",
            ];
            let foreign =
                text.starts_with("CARGO") && !kept.iter().any(|prefix| text.starts_with(prefix));
            if foreign
                || text.starts_with("RUSTC")
                || text.starts_with("RUSTDOC")
                || text == "RUSTFLAGS"
            {
                command.env_remove(&name);
            }
        }
        let remap = |path: &Path, to: &str| format!("--remap-path-prefix={}={to}", path.display());
        let home = var("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|_unset| var("HOME").map(|home| Path::new(&home).join(".cargo")));
        let mut flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
        flags.push(remap(&self.workspace, "."));
        flags.extend(home.map(|home| remap(&home, "cargo")));
        command
            .args([
                "build",
                "--locked",
                "--release",
                "--package",
                "init",
                "--target",
                target,
                "--manifest-path",
            ])
            .arg(self.workspace.join("init/Cargo.toml"))
            .arg("--target-dir")
            .arg(self.target_directory())
            .args(more)
            .env("RUSTC", &self.rustc)
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s")
            .env("CARGO_PROFILE_RELEASE_LTO", "fat")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
            .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
            .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
            .output()
            .expect("cargo runs, since it runs this")
    }

    fn target_directory(&self) -> PathBuf {
        self.output.join("init")
    }
}
