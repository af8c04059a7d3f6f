//! PAX extended headers: `<length> <keyword>=<value>\n` records in front of an entry.

use std::collections::BTreeMap;

/// The keyword in front of an extended attribute's name.
pub(super) const XATTR: &[u8] = b"SCHILY.xattr.";
/// libarchive's own spelling, name percent-encoded and value in base64; only its presence beside `SCHILY` is known
/// in images, so it is ignored.
const LIBARCHIVE_XATTR: &[u8] = b"LIBARCHIVE.xattr.";

/// The records of one header; of two with the same keyword the later one counts.
pub(super) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// Writes records in the order of their keywords.
pub(super) fn encode(records: &Records) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (keyword, value) in records {
        // The length counts its own digits.
        let body = keyword.len() + value.len() + 3;
        let mut length = body + digits(body);
        if digits(length) != digits(body) {
            length = body + digits(length);
        }
        bytes.extend_from_slice(length.to_string().as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(keyword);
        bytes.push(b'=');
        bytes.extend_from_slice(value);
        bytes.push(b'\n');
    }
    bytes
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// One record as found in a header.
pub(super) type Record<'a> = (&'a [u8], &'a [u8]);

/// Splits a header into its records, in their order.
pub(super) fn decode(mut bytes: &[u8]) -> Result<Vec<Record<'_>>, &'static str> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        // Some writers pad the last block's rest into the size.
        if bytes.iter().all(|byte| *byte == 0) {
            break;
        }
        let space = bytes
            .iter()
            .take(21)
            .position(|byte| *byte == b' ')
            .ok_or("a PAX record has no length")?;
        let length = std::str::from_utf8(&bytes[..space])
            .ok()
            .and_then(|digits| digits.parse::<usize>().ok())
            .ok_or("a PAX record's length is not a number")?;
        let record = bytes
            .get(space + 1..length)
            .ok_or("a PAX record is longer than its header")?;
        let record = record
            .strip_suffix(b"\n")
            .ok_or("a PAX record does not end in a newline")?;
        let equals = record
            .iter()
            .position(|byte| *byte == b'=')
            .ok_or("a PAX record has no value")?;
        let (keyword, value) = (&record[..equals], &record[equals + 1..]);
        if keyword.is_empty() {
            return Err("a PAX record has no keyword");
        }
        if !keyword.starts_with(LIBARCHIVE_XATTR) {
            records.push((keyword, value));
        }
        bytes = bytes.get(length..).unwrap_or_default();
    }
    Ok(records)
}

/// Reads a decimal number of a record.
pub(super) fn number<T: std::str::FromStr>(value: &[u8]) -> Result<T, &'static str> {
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or("a PAX record's value is not a number")
}

/// Reads a time of a record, rounding a fraction down as engines do.
pub(super) fn seconds(value: &[u8]) -> Result<i64, &'static str> {
    let mut parts = value.splitn(2, |byte| *byte == b'.');
    let whole: i64 = number(parts.next().unwrap_or_default())?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err("a PAX record's time is not a number");
    }
    let has_fraction = fraction.iter().any(|digit| *digit != b'0');
    Ok(if value.starts_with(b"-") && has_fraction {
        whole.saturating_sub(1)
    } else {
        whole
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_digits() {
        for length in 0..1100 {
            let records = Records::from([(b"path".to_vec(), vec![b'x'; length])]);
            let bytes = encode(&records);
            let back = decode(&bytes).unwrap();
            assert_eq!(
                back,
                [(&b"path"[..], &vec![b'x'; length][..])],
                "at value length {length}"
            );
            let text = String::from_utf8(bytes.clone()).unwrap();
            assert_eq!(
                text.split(' ').next().unwrap().parse::<usize>().unwrap(),
                bytes.len()
            );
        }
    }

    #[test]
    fn a_broken_record_is_refused() {
        for bytes in [
            &b"path=x\n"[..],
            b"99 path=x\n",
            b"9 path=xy",
            b"5 x\n",
            b"5 =x\n",
            b"3 x",
            b"0 a=b\n",
            b"1 ",
        ] {
            assert!(
                decode(bytes).is_err(),
                "{:?} was taken",
                String::from_utf8_lossy(bytes)
            );
        }
    }

    #[test]
    fn a_time_with_a_fraction_is_rounded_down() {
        for (text, value) in [
            ("5", 5),
            ("5.9", 5),
            ("-5.5", -6),
            ("-5.0", -5),
            ("0.000000001", 0),
        ] {
            assert_eq!(seconds(text.as_bytes()), Ok(value), "from {text}");
        }
    }
}
