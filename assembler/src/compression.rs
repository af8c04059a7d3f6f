//! Compression of layers: told by the first bytes, never by a name or a media type.
//!
//! Invariant: whatever is read through a [`Decoder`] needs a bounded amount of memory; how much comes out is for the
//! reader's owner to bound.

use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, maybe of several members.
    Gzip,
    /// Zstandard, maybe of several frames.
    Zstd,
    /// xz: recognised in order to be refused by name.
    Xz,
    /// bzip2: recognised in order to be refused by name.
    Bzip2,
}

/// 128 MiB: what `zstd` itself decompresses without being told otherwise.
const ZSTD_WINDOW_LOG: u32 = 27;

impl Compression {
    /// Tells by the first bytes, of which six are enough.
    pub fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // The second is a frame that readers skip; some tools write one first.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            _ => Self::None,
        }
    }
}

/// A decompressing reader.
pub enum Decoder<R: BufRead> {
    /// Passes everything on.
    None(R),
    /// Inflates.
    Gzip(Box<MultiGzDecoder<R>>),
    /// Decompresses Zstandard.
    Zstd(Box<zstd::Decoder<'static, R>>),
}

impl<R: BufRead> std::fmt::Debug for Decoder<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None(_) => "Decoder::None",
            Self::Gzip(_) => "Decoder::Gzip",
            Self::Zstd(_) => "Decoder::Zstd",
        })
    }
}

impl<R: BufRead> Decoder<R> {
    /// Looks at the first bytes of `source`; give it a buffer of at least six bytes.
    pub fn new(mut source: R) -> io::Result<Self> {
        let refused = |name| {
            Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!(
                    "it is compressed with {name}, which no layer may be; recompress it with gzip or zstd"
                ),
            ))
        };
        match Compression::of(source.fill_buf()?) {
            Compression::None => Ok(Self::None(source)),
            Compression::Gzip => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(source)))),
            Compression::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(source)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Ok(Self::Zstd(Box::new(decoder)))
            }
            Compression::Xz => refused("xz"),
            Compression::Bzip2 => refused("bzip2"),
        }
    }

    /// Returns the source.
    pub fn get_mut(&mut self) -> &mut R {
        match self {
            Self::None(source) => source,
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
        }
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::None(source) => source.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }
    }
}
