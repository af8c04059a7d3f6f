//! Sizes, durations and times for people.

use std::time::Duration;

/// Writes a size with three digits at least, in powers of 1000 as disks and registries count.
pub fn bytes(size: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if size < 1000 {
        return format!("{size} B");
    }
    // Whole numbers only, rounded; one unit up where rounding would show 1000.
    let mut unit = 0;
    let mut scale: u64 = 1000;
    while unit + 1 < UNITS.len() && rounded(size, scale) >= 1000 {
        unit += 1;
        scale = scale.saturating_mul(1000);
    }
    let tenths = rounded(size, scale / 10);
    if tenths >= 1000 {
        format!("{} {}", rounded(size, scale), UNITS[unit])
    } else {
        format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
    }
}

fn rounded(size: u64, unit: u64) -> u64 {
    size / unit + u64::from(size % unit >= unit / 2)
}

/// Writes a duration: `340 ms`, `2.3 s`, `1 min 05 s`, `2 h 03 min`.
pub fn duration(time: Duration) -> String {
    let millis = time.as_millis();
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{millis} ms"),
        1..=59 => format!("{}.{} s", seconds, (millis % 1000) / 100),
        60..=3599 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Cuts an RFC 3339 time to day and minute; a text that is none is returned as it is.
pub fn day_and_minute(time: &str) -> String {
    match (time.get(..10), time.get(10..11), time.get(11..16)) {
        (Some(day), Some("T" | "t" | " "), Some(minute)) => format!("{day} {minute}"),
        _ => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_their_leading_digits() {
        for (size, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1234, "1.2 kB"),
            (99_949, "99.9 kB"),
            (99_950, "100 kB"),
            (999_499, "999 kB"),
            (999_999, "1.0 MB"),
            (31_357_624, "31.4 MB"),
            (2_345_000_000, "2.3 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(size), text, "of {size}");
        }
    }

    #[test]
    fn durations_read_as_a_person_would_say_them() {
        for (millis, text) in [
            (40, "40 ms"),
            (2_340, "2.3 s"),
            (65_000, "1 min 05 s"),
            (7_380_000, "2 h 03 min"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn a_time_is_cut_to_the_minute_and_other_text_stays() {
        assert_eq!(day_and_minute("2026-11-21T10:49:12Z"), "2026-11-21 10:49");
        assert_eq!(day_and_minute("yesterday"), "yesterday");
    }
}
