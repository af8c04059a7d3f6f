//! This machine's clock against those of the registries that answered.

use std::time::{Duration, SystemTime};

use crate::printer::duration;

use super::finding::{Check, Finding};

/// So far apart, two clocks may be by the way an answer takes.
const CLOSE: Duration = Duration::from_mins(1);
/// So far apart, tokens are refused.
const FAR: Duration = Duration::from_mins(5);

/// Compares; `told` is what each registry said, with its host.
pub(super) fn judge(now: SystemTime, told: &[(String, SystemTime)]) -> Finding {
    let apart = |there: SystemTime| match there.duration_since(now) {
        Ok(ahead) => (ahead, "behind"),
        Err(behind) => (behind.duration(), "ahead"),
    };
    // One server's clock may be wrong, too; the closest one counts.
    let Some((host, by, way)) = told
        .iter()
        .map(|(host, there)| {
            let (by, way) = apart(*there);
            (host, by, way)
        })
        .min_by_key(|(_, by, _)| *by)
    else {
        return Finding::skipped(Check::Clock, "no registry told its time");
    };
    let seen = format!(
        "this machine's clock is {} {way} that of {host}",
        duration(by)
    );
    if by <= CLOSE {
        return Finding::ok(Check::Clock, format!("the same as that of {host}"));
    }
    if by <= FAR {
        return Finding::note(Check::Clock, seen)
            .why("A few minutes more, and registries refuse tokens.")
            .next("sudo timedatectl set-ntp true");
    }
    Finding::problem(
        Check::Clock,
        seen,
        "Certificates look expired or not valid yet, and tokens are refused.",
    )
    .next("sudo timedatectl set-ntp true")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    #[track_caller]
    fn check(offsets: &[i64], state: State, words: &str) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let told: Vec<_> = offsets
            .iter()
            .map(|offset| {
                let there = Duration::from_secs(1_000_000_u64.saturating_add_signed(*offset));
                (format!("h{offset}"), SystemTime::UNIX_EPOCH + there)
            })
            .collect();
        let found = judge(now, &told);
        assert_eq!(found.state, state, "{found:?}");
        assert!(found.seen.contains(words), "{found:?}");
    }

    #[test]
    fn the_closest_clock_counts_and_only_far_ones_are_a_problem() {
        check(&[], State::Skipped, "no registry");
        check(&[3], State::Ok, "h3");
        check(&[-86_400, 2], State::Ok, "h2");
        check(&[100], State::Note, "1 min 40 s behind that of h100");
        check(&[-7200], State::Problem, "2 h 00 min ahead that of h-7200");
        check(&[7200], State::Problem, "behind");
    }
}
