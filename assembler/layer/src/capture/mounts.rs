//! The places where something is mounted, which no layer can hold.

use crate::path::LayerPath;

/// Returns the mountpoints below the root that `/proc/self/mountinfo` lists.
pub fn mountpoints(mountinfo: &[u8]) -> Vec<LayerPath> {
    mountinfo
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(unescape)
        .filter_map(|place| LayerPath::new(place.strip_prefix(b"/")?).ok())
        .filter(|path| !path.is_root())
        .collect()
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, behind)) = rest.split_first() {
        let escape = behind.first_chunk::<3>().filter(|_| *first == b'\\');
        let value = escape
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(value.unwrap_or(*first));
        rest = if value.is_some() {
            &behind[3..]
        } else {
            behind
        };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountpoints_are_read_with_their_escapes() {
        let mountinfo = b"1 0 0:1 / / rw - overlay o rw\n2 1 0:2 / /proc rw - proc p rw\n3 1 8:1 /x /mnt/a\\040b\\134c rw shared:1 - ext4 d rw\n";
        let names: Vec<String> = mountpoints(mountinfo)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(names, ["proc", r"mnt/a b\\c"]);
    }
}
