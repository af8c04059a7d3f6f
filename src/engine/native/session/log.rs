//! What a session printed, as it was kept.
//!
//! Format: files `log.<n>` of at most ten megabytes, of which the last two are there. Each piece has a header of sixteen
//! bytes: one that names the stream (1 stdout, 2 stderr), three zero bytes, the length as big-endian `u32`, and the time in
//! microseconds since 1970 as big-endian `i64`.

use std::{
    collections::VecDeque,
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWriteExt as _, DuplexStream};

use super::directory;
use crate::{
    clock,
    engine::session::{LogsWanted, Stream},
};

/// A file is full at this size.
const FULL: u64 = 10 << 20;
/// The length of a header.
const HEADER: usize = 16;
/// How often is looked whether there is more.
const LOOK: Duration = Duration::from_millis(100);
/// How much waits for whoever reads.
const WAITING: usize = 256 << 10;

/// The log of a session, as its keeper writes it.
#[derive(Debug)]
pub(super) struct Writer {
    directory: PathBuf,
    number: u64,
    file: fs_err::File,
    length: u64,
}

impl Writer {
    /// Begins a log.
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        Ok(Self {
            directory: directory.to_owned(),
            number: 1,
            file: fs_err::File::create(path(directory, 1))?,
            length: 0,
        })
    }

    /// Keeps a piece. What a full disk does not take is missing, as it is elsewhere.
    pub(super) fn keep(&mut self, stream: Stream, piece: &[u8]) -> io::Result<()> {
        if self.length >= FULL {
            let next = fs_err::File::create(path(&self.directory, self.number + 1))?;
            (self.file, self.length, self.number) = (next, 0, self.number + 1);
            fs_err::remove_file(path(&self.directory, self.number - 2)).unwrap_or_default();
        }
        let mut whole = Vec::with_capacity(HEADER + piece.len());
        whole.extend_from_slice(&header(stream, piece.len()));
        whole.extend_from_slice(&clock::microseconds().to_be_bytes());
        whole.extend_from_slice(piece);
        let written = self.file.write_all(&whole);
        if written.is_err() {
            // Half a piece would take what comes after it along.
            self.file.set_len(self.length)?;
            self.file.seek(io::SeekFrom::Start(self.length))?;
            return written;
        }
        self.length += whole.len() as u64;
        Ok(())
    }
}

/// The header of a frame, as Docker has it.
pub(super) fn header(stream: Stream, length: usize) -> [u8; 8] {
    let kind = match stream {
        Stream::Stdout => 1,
        Stream::Stderr => 2,
    };
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    [kind, 0, 0, 0, a, b, c, d]
}

fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("log.{number}"))
}

/// A piece that was kept.
#[derive(Clone, Debug)]
struct Piece {
    stream: Stream,
    /// In microseconds since 1970.
    time: i64,
    bytes: Bytes,
}

/// Reads what was kept, and what still comes.
#[derive(Debug)]
struct Reader {
    directory: PathBuf,
    number: u64,
    file: fs_err::File,
    /// What was read and is no whole piece.
    rest: Vec<u8>,
}

impl Reader {
    fn open(directory: &Path) -> io::Result<Self> {
        loop {
            let number = numbers(directory)?.into_iter().min();
            let number = number.ok_or(io::ErrorKind::NotFound)?;
            match fs_err::File::open(path(directory, number)) {
                // Another came just then, and it was one too many.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => {
                    return Ok(Self {
                        directory: directory.to_owned(),
                        number,
                        file: opened?,
                        rest: Vec::new(),
                    });
                }
            }
        }
    }

    /// Returns all that is there by now.
    fn pieces(&mut self) -> io::Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        loop {
            // Asked first: a file after this one means that this one is whole.
            let next = numbers(&self.directory)
                .unwrap_or_default()
                .into_iter()
                .filter(|number| *number > self.number)
                .min();
            self.file.read_to_end(&mut self.rest)?;
            self.take(&mut pieces);
            let Some(next) = next else {
                return Ok(pieces);
            };
            self.rest.clear();
            match fs_err::File::open(path(&self.directory, next)) {
                // Of one that is gone already nothing was read; a later one is there.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => (self.number, self.file) = (next, opened?),
            }
        }
    }

    fn take(&mut self, pieces: &mut Vec<Piece>) {
        let all = Bytes::from(std::mem::take(&mut self.rest));
        let mut at = 0;
        while let Some(header) = all.get(at..).and_then(<[u8]>::first_chunk::<HEADER>) {
            let [kind, _, _, _, a, b, c, d, time @ ..] = *header;
            let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
            let (start, end) = (at + HEADER, (at + HEADER).saturating_add(length));
            if end > all.len() {
                break;
            }
            pieces.push(Piece {
                stream: if kind == 2 {
                    Stream::Stderr
                } else {
                    Stream::Stdout
                },
                time: i64::from_be_bytes(time),
                bytes: all.slice(start..end),
            });
            at = end;
        }
        self.rest = all.slice(at..).to_vec();
    }
}

fn numbers(directory: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs_err::read_dir(directory)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("log."));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    Ok(numbers)
}

/// Leaves of pieces what begins with the last so many lines.
fn last_lines(pieces: Vec<Piece>, lines: u64) -> Vec<Piece> {
    let wanted = usize::try_from(lines).unwrap_or(usize::MAX);
    // Where lines begin, the last ones.
    let mut starts: VecDeque<(usize, usize)> = VecDeque::new();
    let mut is_within = [false; 2];
    for (number, piece) in pieces.iter().enumerate() {
        let within = &mut is_within[usize::from(piece.stream == Stream::Stderr)];
        let mut at = 0;
        for line in piece.bytes.split_inclusive(|&byte| byte == b'\n') {
            if !*within {
                starts.push_back((number, at));
                if starts.len() > wanted {
                    starts.pop_front();
                }
            }
            *within = !line.ends_with(b"\n");
            at += line.len();
        }
    }
    let Some(&(first, offset)) = starts.front() else {
        return Vec::new();
    };
    let mut left: Vec<Piece> = pieces.into_iter().skip(first).collect();
    if let Some(piece) = left.first_mut() {
        piece.bytes = piece.bytes.slice(offset..);
    }
    left
}

/// Puts the time before each line.
#[derive(Debug, Default)]
struct Stamps {
    is_within: [bool; 2],
}

impl Stamps {
    fn put(&mut self, piece: &Piece) -> Vec<u8> {
        let within = &mut self.is_within[usize::from(piece.stream == Stream::Stderr)];
        let time = clock::precise(piece.time);
        let mut stamped = Vec::new();
        for line in piece.bytes.split_inclusive(|&byte| byte == b'\n') {
            if !*within {
                stamped.extend_from_slice(time.as_bytes());
                stamped.push(b' ');
            }
            stamped.extend_from_slice(line);
            *within = !line.ends_with(b"\n");
        }
        stamped
    }
}

/// Opens a session's log: bare bytes of a terminal, or frames.
pub(super) fn open(
    directory: &Path,
    (terminal, wanted): (bool, LogsWanted),
) -> io::Result<Box<dyn AsyncRead + Unpin + Send>> {
    let mut reader = Reader::open(directory)?;
    let mut pieces = reader.pieces()?;
    if let Some(lines) = wanted.tail {
        pieces = last_lines(pieces, lines);
    }
    let (ours, theirs) = tokio::io::duplex(WAITING);
    let mut teller = Teller {
        to: theirs,
        terminal,
        stamps: wanted.timestamps.then(Stamps::default),
    };
    tokio::spawn(async move {
        // Whoever read it may be gone.
        if teller.tell(&pieces).await.is_ok() && wanted.follow {
            drop(pieces);
            follow(reader, teller).await.unwrap_or_default();
        }
    });
    Ok(Box::new(ours))
}

async fn follow(mut reader: Reader, mut teller: Teller) -> io::Result<()> {
    loop {
        // Asked first: what is there afterwards is all.
        let found = directory::look(&reader.directory);
        let is_over = found.is_none_or(|found| found.ended().is_some());
        let pieces = reader.pieces()?;
        teller.tell(&pieces).await?;
        if is_over {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

struct Teller {
    to: DuplexStream,
    terminal: bool,
    stamps: Option<Stamps>,
}

impl Teller {
    async fn tell(&mut self, pieces: &[Piece]) -> io::Result<()> {
        for piece in pieces {
            let stamped = self.stamps.as_mut().map(|stamps| stamps.put(piece));
            let bytes = stamped.as_deref().unwrap_or(&piece.bytes);
            if !self.terminal {
                self.to
                    .write_all(&header(piece.stream, bytes.len()))
                    .await?;
            }
            self.to.write_all(bytes).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(stream: Stream, text: &'static str) -> Piece {
        Piece {
            stream,
            time: 1_500_000,
            bytes: Bytes::from_static(text.as_bytes()),
        }
    }

    fn texts(pieces: &[Piece]) -> Vec<&str> {
        let text = |piece: &'_ Piece| std::str::from_utf8(&piece.bytes).map(str::to_owned);
        assert!(pieces.iter().all(|piece| text(piece).is_ok()));
        pieces
            .iter()
            .map(|piece| std::str::from_utf8(&piece.bytes).unwrap())
            .collect()
    }

    #[test]
    fn the_last_lines_begin_at_lines_of_either_stream() {
        let pieces = vec![
            piece(Stream::Stdout, "one\ntw"),
            piece(Stream::Stderr, "aside\n"),
            piece(Stream::Stdout, "o\nthree"),
        ];
        let last = |lines| last_lines(pieces.clone(), lines);
        assert_eq!(texts(&last(1)), ["three"]);
        assert_eq!(texts(&last(2)), ["aside\n", "o\nthree"]);
        assert_eq!(texts(&last(3)), ["tw", "aside\n", "o\nthree"]);
        assert_eq!(texts(&last(9)).concat(), "one\ntwaside\no\nthree");
        assert!(last(0).is_empty());
    }

    #[test]
    fn what_was_kept_is_read_again_across_files_and_the_oldest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = Writer::new(directory.path()).unwrap();
        let mut reader = Reader::open(directory.path()).unwrap();
        log.keep(Stream::Stderr, b"first\n").unwrap();
        let pieces = reader.pieces().unwrap();
        assert_eq!(texts(&pieces), ["first\n"]);
        assert_eq!(pieces[0].stream, Stream::Stderr);
        let large = vec![b'x'; 4 << 20];
        for _ in 0..8 {
            log.keep(Stream::Stdout, &large).unwrap();
        }
        assert_eq!(numbers(directory.path()).unwrap().len(), 2, "the last two");
        let kept = Reader::open(directory.path()).unwrap().pieces().unwrap();
        let bytes: usize = kept.iter().map(|piece| piece.bytes.len()).sum();
        assert!((10 << 20..32 << 20).contains(&bytes), "{bytes}");
        // A slow reader misses what is gone, and goes on with what is there.
        let rest = reader.pieces().unwrap();
        assert_eq!(rest.last().unwrap().bytes.len(), large.len());
    }

    #[test]
    fn each_line_has_its_time_once() {
        let mut stamps = Stamps::default();
        let first = stamps.put(&piece(Stream::Stdout, "one\ntw"));
        let second = stamps.put(&piece(Stream::Stdout, "o\n"));
        let text = String::from_utf8([first, second].concat()).unwrap();
        let time = "1970-01-01T00:00:01.5Z";
        assert_eq!(text, format!("{time} one\n{time} two\n"));
    }
}
