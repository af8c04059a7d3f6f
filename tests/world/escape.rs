//! What a step tries to leave its cage, or to change the machine around it: each attempt fails.

use std::os::{
    linux::net::SocketAddrExt as _,
    unix::{
        fs::PermissionsExt,
        net::{SocketAddr, UnixListener},
    },
};

use crate::ground::{BASE, Ground, on_this_machine};

/// The attempts; numbers of calls are those of x86-64.
const ATTEMPTS: &str = include_str!("escape.pl");

#[test]
fn every_attempt_to_leave_a_step_fails() {
    if std::env::consts::ARCH != "x86_64" {
        eprintln!("SKIP: the numbers of calls are those of x86-64");
        return;
    }
    on_this_machine(|ground| {
        ground.base("library/debian:latest");
        // A file and a socket of this machine, to see whether they are seen.
        let canary = ground.path("canary");
        fs_err::write(&canary, "seen").unwrap();
        let name = format!("aicage-canary-{}", ground.agent);
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let _listener = UnixListener::bind_addr(&address).unwrap();
        let script = ATTEMPTS
            .replace("CANARY", &canary.display().to_string())
            .replace("ABSTRACT", &name);
        ground.define("#!/bin/sh\nexec perl ./attempts\n");
        ground.write_agent("attempts", &script);
        let said = ground.run(&["build", &ground.agent, "--base", BASE], 0);
        let log = log(ground);
        assert!(
            log.contains(" 0 left, 0 broke\n"),
            "{}\n{}\n{}",
            said.stdout,
            said.stderr,
            log
        );
    });
}

/// Makes a program of 32 bits that makes one call, and ends with what the kernel answered, without its sign.
fn program_of_32_bits(call: u32, arguments: [u32; 3]) -> Vec<u8> {
    const BASE: u32 = 0x0804_8000;
    const HEADERS: u32 = 84;
    let mut code = Vec::new();
    // eax, ebx, ecx, edx
    for (register, value) in [0xb8, 0xbb, 0xb9, 0xba]
        .into_iter()
        .zip(std::iter::once(call).chain(arguments))
    {
        code.push(register);
        code.extend(value.to_le_bytes());
    }
    // The call; its answer without its sign; the end.
    code.extend(b"\xcd\x80\xf7\xd8\x89\xc3\xb8\x01\0\0\0\xcd\x80");
    let size = HEADERS + u32::try_from(code.len()).unwrap();
    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x03\0\x01\0\0\0".to_vec();
    for word in [BASE + HEADERS, 52, 0, 0, 52 + (32 << 16), 1, 0] {
        file.extend(word.to_le_bytes());
    }
    for word in [1, 0, BASE, BASE, size, size, 5, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file
}

/// Calls by their numbers for 32 bits, their arguments, and how they are answered: with EPERM, ENOSYS, or 0.
const CALLS: [(&str, u32, [u32; 3], i32); 13] = [
    ("getuid", 199, [0, 0, 0], 0),
    (
        "access to memory that is not there",
        33,
        [0, 0, 0],
        libc::EFAULT,
    ),
    ("mount", 21, [0, 0, 0], libc::EPERM),
    ("unshare users", 310, [0x1000_0000, 0, 0], libc::EPERM),
    ("clone with users", 120, [0x1000_0011, 0, 0], libc::EPERM),
    ("clone3", 435, [0, 0, 0], libc::ENOSYS),
    ("add a key", 286, [0, 0, 0], libc::EPERM),
    ("join a keyring", 288, [1, 0, 0], libc::EPERM),
    ("type into a terminal", 54, [0, 0x5412, 0], libc::EPERM),
    ("personality", 136, [0x4_0000, 0, 0], libc::EPERM),
    ("a socket to the ciphers", 359, [38, 5, 0], libc::EPERM),
    ("a socket of any kind", 102, [1, 0, 0], libc::EPERM),
    ("io_uring", 425, [1, 0, 0], libc::EPERM),
];

#[test]
fn programs_of_32_bits_run_and_are_refused_the_same() {
    if std::env::consts::ARCH != "x86_64" {
        return eprintln!("SKIP: they are programs for x86");
    }
    let executable = |path: &std::path::Path, call, arguments| {
        fs_err::write(path, program_of_32_bits(call, arguments)).unwrap();
        fs_err::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    };
    let here = tempfile::tempdir().unwrap();
    let here = here.path().join("getpid");
    executable(&here, 20, [0; 3]);
    if std::process::Command::new(&here).status().is_err() {
        return eprintln!("SKIP: this kernel runs no programs of 32 bits");
    }
    on_this_machine(|ground| {
        ground.base("library/busybox:latest");
        let mut install = "#!/bin/sh\n".to_owned();
        for (number, (name, call, arguments, answer)) in CALLS.into_iter().enumerate() {
            let file = format!("program-{number}");
            ground.write_agent(&file, "");
            let agent = ground.aicage_home().join("custom/agents");
            executable(&agent.join(&ground.agent).join(&file), call, arguments);
            let line = format!(
                "cp ./{file} /tmp/p; chmod 755 /tmp/p; /tmp/p; s=$?; test $s = {answer} || echo \"DIFFERS {name}: $s\"\n"
            );
            install.push_str(&line);
        }
        install.push_str("rm /tmp/p; echo all were tried\n");
        ground.define(&install);
        ground.run(&["build", &ground.agent, "--base", BASE], 0);
        let log = log(ground);
        assert!(
            log.contains("all were tried") && !log.contains("DIFFERS"),
            "{log}"
        );
    });
}

/// What the step printed.
fn log(ground: &Ground) -> String {
    let logs = ground.logs();
    let (_, text) = logs
        .iter()
        .find(|(name, _)| name.starts_with("agent-"))
        .unwrap();
    String::from_utf8_lossy(text).into_owned()
}
