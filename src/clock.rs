//! The clock: the only place that asks what time it is.

use std::time::SystemTime;

use jiff::Timestamp;

/// Returns the time now, RFC 3339 in UTC, in whole seconds.
pub fn now() -> String {
    let now = Timestamp::now().as_second();
    Timestamp::from_second(now)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_string()
}

/// Returns the time now in microseconds since 1970.
pub fn microseconds() -> i64 {
    Timestamp::now().as_microsecond()
}

/// Writes microseconds since 1970 as RFC 3339, as precisely as they are.
pub fn precise(microseconds: i64) -> String {
    Timestamp::from_microsecond(microseconds)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_string()
}

/// Writes seconds since 1970 as RFC 3339; `None` where that is no time.
pub fn time_of(seconds: i64) -> Option<String> {
    Some(Timestamp::from_second(seconds).ok()?.to_string())
}

/// Returns a time of ours as the system counts it.
pub fn system(time: &str) -> Result<SystemTime, jiff::Error> {
    Ok(time.parse::<Timestamp>()?.into())
}

/// Returns a time of the system's as we write it.
pub fn text(time: SystemTime) -> String {
    Timestamp::try_from(time)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_string()
}

/// Returns how many seconds passed from `earlier` to `later`; `None` where one of them is not a time.
pub fn seconds_between(earlier: &str, later: &str) -> Option<i64> {
    let earlier: Timestamp = earlier.parse().ok()?;
    let later: Timestamp = later.parse().ok()?;
    Some(later.as_second() - earlier.as_second())
}

/// Says how long ago something was, in the largest unit that fits.
pub fn ago(at: &str, now: &str) -> String {
    let Some(seconds) = seconds_between(at, now).filter(|seconds| *seconds >= 0) else {
        return format!("at {at}");
    };
    let (number, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7200 => (seconds / 60, "minute"),
        7200..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{plural} ago")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_ago_is_said_in_the_largest_unit_that_fits() {
        let now = "2026-11-21T12:00:00Z";
        for (at, said) in [
            ("2026-11-21T11:59:59Z", "1 second ago"),
            ("2026-11-21T11:30:00Z", "30 minutes ago"),
            ("2026-11-20T12:00:00Z", "24 hours ago"),
            ("2026-11-18T11:00:00Z", "3 days ago"),
            ("2026-11-22T00:00:00Z", "at 2026-11-22T00:00:00Z"),
        ] {
            assert_eq!(ago(at, now), said);
        }
    }
}
