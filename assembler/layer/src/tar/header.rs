//! The 512 bytes in front of each entry.

use super::BLOCK;

pub(super) type Block = [u8; BLOCK];

/// Where a field is in the block.
type Field = std::ops::Range<usize>;

const NAME: Field = 0..100;
const MODE: Field = 100..108;
const UID: Field = 108..116;
const GID: Field = 116..124;
const SIZE: Field = 124..136;
const MTIME: Field = 136..148;
const CHECKSUM: Field = 148..156;
const TYPE: usize = 156;
const LINK: Field = 157..257;
const MAGIC: Field = 257..265;
const MAJOR: Field = 329..337;
const MINOR: Field = 337..345;
const PREFIX: Field = 345..500;

/// Longest name or link target that fits without a PAX record.
pub(super) const NAME_BYTES: usize = 100;
/// Largest number of a seven-digit octal field.
pub(super) const SMALL_MAX: u64 = 0o7_777_777;
/// Largest number of an eleven-digit octal field.
pub(super) const LARGE_MAX: u64 = 0o77_777_777_777;

/// What a header block says in its own fields.
#[derive(Debug, Clone, Default)]
pub(super) struct Header {
    pub(super) name: Vec<u8>,
    pub(super) type_flag: u8,
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) size: u64,
    pub(super) mtime: i64,
    pub(super) link: Vec<u8>,
    pub(super) major: u32,
    pub(super) minor: u32,
}

impl Header {
    /// Encodes the header; what does not fit its field is cut, since a PAX record in front of it says it in full.
    pub(super) fn encode(&self) -> Block {
        let mut block = [0; BLOCK];
        put_bytes(&mut block[NAME], &self.name);
        put_octal(&mut block[MODE], u64::from(self.mode));
        put_octal(&mut block[UID], fitting(self.uid, SMALL_MAX));
        put_octal(&mut block[GID], fitting(self.gid, SMALL_MAX));
        put_octal(&mut block[SIZE], fitting(self.size, LARGE_MAX));
        put_octal(
            &mut block[MTIME],
            fitting(u64::try_from(self.mtime).unwrap_or(0), LARGE_MAX),
        );
        block[TYPE] = self.type_flag;
        put_bytes(&mut block[LINK], &self.link);
        block[MAGIC].copy_from_slice(b"ustar\x0000");
        if matches!(self.type_flag, b'3' | b'4') {
            put_octal(&mut block[MAJOR], u64::from(self.major));
            put_octal(&mut block[MINOR], u64::from(self.minor));
        }
        let sum = checksum(&block);
        // Six digits, NUL, space: what every tar since the first has written.
        put_octal(&mut block[CHECKSUM.start..CHECKSUM.end - 1], sum);
        block[CHECKSUM.end - 1] = b' ';
        block
    }

    /// Decodes a header block.
    pub(super) fn decode(block: &Block) -> Result<Self, &'static str> {
        let stored = number(&block[CHECKSUM]).ok_or("its checksum is not a number")?;
        if i128::from(checksum(block)) != stored && i128::from(signed_checksum(block)) != stored {
            return Err("its checksum is wrong");
        }
        let magic = &block[MAGIC];
        let posix = magic.starts_with(b"ustar\0");
        let mut name = text(&block[NAME]).to_vec();
        let prefix = text(&block[PREFIX]);
        // GNU headers (`ustar  `) keep times and sparse maps where POSIX has the prefix.
        if posix && !prefix.is_empty() {
            name = [prefix, b"/", &name].concat();
        }
        let type_flag = block[TYPE];
        let is_device = matches!(type_flag, b'3' | b'4');
        Ok(Self {
            name,
            type_flag,
            mode: u32::try_from(unsigned(&block[MODE])? & 0o7777).unwrap_or(0),
            uid: unsigned(&block[UID])?,
            gid: unsigned(&block[GID])?,
            size: unsigned(&block[SIZE])?,
            mtime: number(&block[MTIME])
                .and_then(|time| i64::try_from(time).ok())
                .ok_or("its time is not a number")?,
            link: text(&block[LINK]).to_vec(),
            major: if is_device { device(&block[MAJOR])? } else { 0 },
            minor: if is_device { device(&block[MINOR])? } else { 0 },
        })
    }
}

fn fitting(value: u64, max: u64) -> u64 {
    if value > max { 0 } else { value }
}

fn put_bytes(field: &mut [u8], bytes: &[u8]) {
    for (to, from) in field.iter_mut().zip(bytes) {
        *to = *from;
    }
}

/// Writes leading-zero octal digits and a NUL.
fn put_octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    let mut rest = value;
    for place in field[..digits].iter_mut().rev() {
        *place = b'0' + (rest % 8) as u8;
        rest /= 8;
    }
}

fn checksum(block: &Block) -> u64 {
    block
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            if CHECKSUM.contains(&at) {
                32
            } else {
                u64::from(*byte)
            }
        })
        .sum()
}

/// Some old tars summed signed bytes.
fn signed_checksum(block: &Block) -> i64 {
    block
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            if CHECKSUM.contains(&at) {
                32
            } else {
                i64::from(byte.cast_signed())
            }
        })
        .sum()
}

/// Returns a field up to its first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn unsigned(field: &[u8]) -> Result<u64, &'static str> {
    number(field)
        .and_then(|value| u64::try_from(value).ok())
        .ok_or("one of its numbers is not a number")
}

fn device(field: &[u8]) -> Result<u32, &'static str> {
    u32::try_from(unsigned(field)?).map_err(|_out_of_range| "its device number is too large")
}

/// Reads an octal field, or a base-256 one whose first bit is set.
pub(super) fn number(field: &[u8]) -> Option<i128> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        let negative = first & 0x40 != 0;
        let start: i128 = if negative { -1 } else { 0 };
        let start = (start << 6) | i128::from(first & 0x3f);
        return rest.iter().try_fold(start, |value, byte| {
            value
                .checked_mul(256)
                .map(|shifted| shifted | i128::from(*byte))
                .filter(|value| value.unsigned_abs() < 1 << 100)
        });
    }
    let digits = field
        .iter()
        .copied()
        .skip_while(|byte| *byte == b' ' || *byte == 0);
    let mut value: i128 = 0;
    for byte in digits.take_while(|byte| *byte != b' ' && *byte != 0) {
        if !(b'0'..=b'7').contains(&byte) {
            return None;
        }
        value = value * 8 + i128::from(byte - b'0');
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_octal_and_in_base_256() {
        let cases: [(&[u8], Option<i128>); 7] = [
            (b"0000644\0", Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"\x80\0\0\0\0\x20\0\0", Some(0x20_0000)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"00x0644\0", None),
            (b"8\0", None),
        ];
        for (field, value) in cases {
            assert_eq!(number(field), value, "from {field:?}");
        }
    }

    #[test]
    fn a_header_survives_being_written() {
        let header = Header {
            name: b"usr/bin".to_vec(),
            type_flag: b'5',
            mode: 0o1755,
            mtime: 7,
            ..Header::default()
        };
        let back = Header::decode(&header.encode()).unwrap();
        assert_eq!(
            (back.name, back.type_flag, back.mode, back.mtime),
            (b"usr/bin".to_vec(), b'5', 0o1755, 7)
        );
    }
}
