//! Steps that fail, hang or are killed, on real engines: named, ended and cleaned up after.

use std::{io::Write, time::Duration};

use aicage::engine::EngineSandbox;
use assembler::sandbox::{CaptureError, Sandbox as _, SandboxError, StepRequest};
use layer::tar::{LayerReader, LayerWriter, Limits, recanonicalise};

use crate::{
    steps::{LABEL, Step, Way, both_ways},
    support::{INTERRUPT_ME, Recorder, on_each_engine},
};

#[test]
fn a_script_that_fails_is_named_with_its_status_and_its_output_is_kept() {
    both_ways("fails", |ground, way| {
        let ran = Step::new(ground, way).run("echo before\nexit 42\n");
        match ran.outcome {
            Err(SandboxError::Script { script, status }) => {
                assert_eq!((script.as_str(), status), ("install.sh", 42));
            }
            other => panic!("{way:?}: {other:?}"),
        }
        assert_eq!(ran.log, "before\n");
    });
}

#[test]
fn an_interrupt_ends_a_step_that_hangs() {
    both_ways("hangs", |ground, way| {
        let begun = std::time::Instant::now();
        let script =
            format!("trap '' INT TERM HUP\necho {INTERRUPT_ME}\nwhile :; do sleep 1000; done\n");
        let ran = Step::new(ground, way).run(&script);
        assert!(
            matches!(ran.outcome, Err(SandboxError::Interrupted)),
            "{way:?}: {:?}",
            ran.outcome
        );
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "it took {:?}",
            begun.elapsed()
        );
    });
}

#[test]
fn what_cannot_be_captured_is_named_in_the_error() {
    both_ways("uncaptured", |ground, way| {
        let script = "mkdir /etc/odd; echo x > /etc/odd/.wh.file; touch /zzz";
        let work = |sandbox: &EngineSandbox<'_>, request: &StepRequest<'_>| {
            sandbox.run(request, &mut std::io::sink(), &mut |answer| {
                let reader = LayerReader::new(std::io::BufReader::new(answer), Limits::default());
                recanonicalise(reader, LayerWriter::new(std::io::sink()))?;
                Ok(())
            })
        };
        let ran = Step::new(ground, way).with_sandbox(script, &Recorder::default(), work);
        match ran.unwrap_err() {
            SandboxError::Step { reason } => {
                assert!(reason.contains("etc/odd/.wh.file"), "{reason}");
            }
            other => panic!("{way:?}: {other:?}"),
        }
    });
}

#[test]
fn a_consumer_that_fails_ends_the_step() {
    both_ways("full", |ground, way| {
        let recorder = Recorder::default();
        let outcome = Step::new(ground, way).with_sandbox(
            "dd if=/dev/zero of=/big bs=1M count=50 2>/dev/null",
            &recorder,
            |sandbox, request| {
                sandbox.run(request, &mut std::io::sink(), &mut |answer| {
                    answer.read_exact(&mut [0; 1000])?;
                    Err(CaptureError::Io(std::io::ErrorKind::StorageFull.into()))
                })
            },
        );
        assert!(
            matches!(outcome, Err(SandboxError::Capture(CaptureError::Io(_)))),
            "{way:?}: {outcome:?}"
        );
    });
}

struct FullDisk;

impl Write for FullDisk {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_log_that_cannot_be_written_is_an_error() {
    on_each_engine("log", |ground| {
        let recorder = Recorder::default();
        let outcome = Step::new(ground, Way::Mounted).with_sandbox(
            "echo x",
            &recorder,
            |sandbox, request| {
                sandbox.run(request, &mut FullDisk, &mut |answer| {
                    answer.read_to_end(&mut Vec::new())?;
                    Ok(())
                })
            },
        );
        assert!(
            matches!(outcome, Err(SandboxError::Log { .. })),
            "{outcome:?}"
        );
    });
}

#[test]
fn a_panic_in_the_middle_leaves_no_container() {
    on_each_engine("panic", |ground| {
        let step = Step::new(ground, Way::Mounted);
        let recorder = Recorder::default();
        step.with_sandbox("sleep 0.1; touch /x", &recorder, |sandbox, request| {
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                sandbox.run(request, &mut std::io::sink(), &mut |_| {
                    panic!("a broken consumer")
                })
            }));
            assert!(caught.is_err(), "the panic comes through");
        });
    });
}

#[test]
fn what_a_killed_run_left_behind_is_removed_by_the_next() {
    on_each_engine("sweep", |ground| {
        let boot = fs_err::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let boot = boot.split('-').next().unwrap();
        let namespace = fs_err::read_link("/proc/self/ns/pid").unwrap();
        let namespace = namespace.to_string_lossy();
        let namespace = namespace.trim_start_matches("pid:[").trim_end_matches(']');
        // The first run loads the image; we give it a name as of another run.
        let name = format!("aicage-step:{boot}-{namespace}-1-1-0123456789ab");
        let id = ground.engine_docker().id_of(&ground.image);
        let ran = Step::new(ground, Way::Mounted).with_sandbox(
            "true",
            &Recorder::default(),
            |sandbox, request| {
                let outcome = sandbox.run(request, &mut std::io::sink(), &mut |answer| {
                    answer.read_to_end(&mut Vec::new())?;
                    Ok(())
                });
                ground.docker(&["tag", &id, &name]);
                outcome
            },
        );
        ran.unwrap();
        let of = |owner: &str| format!("{LABEL}={owner}");
        let title = format!("io.github.aicage.title={}", ground.title());
        let dead = of(&format!("{boot}-{namespace}-1-1"));
        let foreign = of(&format!("ffffffff-{namespace}-1-1"));
        ground.docker(&[
            "create",
            "--label",
            &dead,
            "--label",
            &title,
            "--network",
            "none",
            &id,
            "true",
        ]);
        let kept = ground.docker(&[
            "create",
            "--label",
            &foreign,
            "--label",
            &title,
            "--network",
            "none",
            &id,
            "true",
        ]);
        let kept = kept.trim();
        let mut left = Vec::new();
        let ran = Step::new(ground, Way::Mounted).with_sandbox(
            "true",
            &Recorder::default(),
            |sandbox, request| {
                let outcome = sandbox.run(request, &mut std::io::sink(), &mut |answer| {
                    answer.read_to_end(&mut Vec::new())?;
                    Ok(())
                });
                ground.runtime.block_on(sandbox.clean()).unwrap();
                left = ground.leftovers("io.github.aicage.title");
                ground.docker(&["rm", "-f", kept]);
                outcome
            },
        );
        ran.unwrap();
        ground.docker(&["rmi", "-f", &name]);
        assert_eq!(
            left.len(),
            1,
            "the dead one is gone, the other machine's stays: {left:?}"
        );
        assert!(kept.starts_with(&left[0]), "{kept} {left:?}");
    });
}
