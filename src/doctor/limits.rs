//! What the engine can limit for a session, and what it warns of by itself.

use crate::engine::docker::{EngineInfo, Particulars};

use super::finding::{Check, Finding};

/// Judges what an engine says it can do.
pub(super) fn judge(info: &EngineInfo, particulars: &Particulars) -> Finding {
    let cannot: Vec<&str> = [
        ("memory", particulars.memory_limit),
        ("processors", particulars.cpu_cfs_quota),
        ("the number of processes", particulars.pids_limit),
    ]
    .into_iter()
    // What an engine does not tell is not held against it.
    .filter(|(_, can)| *can == Some(false))
    .map(|(what, _)| what)
    .collect();
    let version = particulars.cgroup_version.as_deref().unwrap_or("1");
    if !cannot.is_empty() {
        return Finding::note(
            Check::Limits,
            format!("the engine cannot limit {}", cannot.join(", ")),
        )
        .why(format!(
            "Limits of a session have no effect there. Control groups are of version {version}; a rootless engine needs \
             version 2 and systemd's delegation."
        ))
        .next("systemctl show user@$(id -u).service -p DelegateControllers");
    }
    let warnings = particulars.warnings.as_deref().unwrap_or_default();
    match warnings.first() {
        Some(first) => {
            let more = match warnings.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            let first = first.trim_start_matches("WARNING: ");
            Finding::note(Check::Limits, format!("the engine warns: {first}{more}"))
                .next(format!("{} info", info.program()))
        }
        None => Finding::ok(
            Check::Limits,
            format!("memory, processors and processes can be limited (control groups {version})"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    #[test]
    fn what_cannot_be_limited_is_named_before_what_the_engine_warns_of() {
        let info = crate::doctor::tests::engine_info();
        let mut seen = Particulars::default();
        assert_eq!(judge(&info, &seen).state, State::Ok);
        seen.warnings = Some(vec![
            "WARNING: No swap limit support".to_owned(),
            "b".to_owned(),
        ]);
        assert_eq!(
            judge(&info, &seen).seen,
            "the engine warns: No swap limit support (and 1 more)"
        );
        seen.pids_limit = Some(false);
        seen.memory_limit = Some(false);
        assert_eq!(
            judge(&info, &seen).seen,
            "the engine cannot limit memory, the number of processes"
        );
    }
}
