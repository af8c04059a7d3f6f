//! What a session without an engine is kept from, as the kernel tells it: the agent, the first process, and what joins them.

use super::{listed, runs_arguments};
use crate::{
    ground::{BASE, on_this_machine},
    session::until,
};

const STATUS: &str = "grep -E '^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status; \
                      grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/1/status";

// CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, KILL 5, SETGID 6, SETUID 7.
const FEW: u64 = 0xeb;
// These, FSETID 4, SETPCAP 8, NET_BIND_SERVICE 10, SYS_CHROOT 18 and SETFCAP 31.
const USUAL: u64 = FEW | 1 << 4 | 1 << 8 | 1 << 10 | 1 << 18 | 1 << 31;

#[test]
fn a_session_and_what_joins_it_are_kept_from_the_same() {
    on_this_machine(|ground| {
        runs_arguments(ground);
        // An agent that is not root inside has no rights of root's at all.
        let is_root = ground.caller.is_none();
        for (options, capabilities, no_new_privileges, filter) in [
            (&[][..], FEW, 1, 2),
            (&["--cap-add", "SYS_PTRACE"], FEW | 1 << 19, 1, 2),
            (
                &[
                    "--keep-capabilities",
                    "--security-opt",
                    "no-new-privileges=false",
                    "--security-opt",
                    "seccomp=unconfined",
                ],
                USUAL,
                0,
                0,
            ),
        ] {
            let script = format!("{STATUS}; while :; do sleep 0.1; done");
            let more = ["-d", "--base", BASE, &ground.agent, "sh", "-c", &script];
            ground.run(&[options, &more].concat(), 0);
            let agent = until("what the agent is kept from", || {
                let log = ground.run(&["logs"], 0).stdout;
                (log.matches("Seccomp:").count() == 2).then_some(log)
            });
            let own = if is_root { capabilities } else { 0 };
            let kept = format!("NoNewPrivs:\t{no_new_privileges}\nSeccomp:\t{filter}\n");
            let expected = format!(
                "CapInh:\t{:016x}\nCapPrm:\t{own:016x}\nCapEff:\t{own:016x}\nCapBnd:\t{capabilities:016x}\nCapAmb:\t{:016x}\n{kept}\
                 CapEff:\t{capabilities:016x}\nCapBnd:\t{capabilities:016x}\n{kept}",
                0, 0
            );
            assert_eq!(agent, expected, "the agent with {options:?}");
            let joined = ground.run(&["exec", "--", "sh", "-c", STATUS], 0).stdout;
            assert_eq!(joined, expected, "what joins it with {options:?}");
            ground.run(&["stop", "-t", "0"], 0);
            assert!(listed(ground).is_empty());
        }
    });
}
