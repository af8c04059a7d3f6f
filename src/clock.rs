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

/// Returns a time of ours as the system counts it.
pub fn system(time: &str) -> Result<SystemTime, jiff::Error> {
    Ok(time.parse::<Timestamp>()?.into())
}

/// Returns how many seconds passed from `earlier` to `later`; `None` where one of them is not a time.
pub fn seconds_between(earlier: &str, later: &str) -> Option<i64> {
    let earlier: Timestamp = earlier.parse().ok()?;
    let later: Timestamp = later.parse().ok()?;
    Some(later.as_second() - earlier.as_second())
}
