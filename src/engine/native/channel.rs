//! How aicage and the processes that make cages talk: one packet a message, with descriptors.
//!
//! Invariant: the end of the channel is the end of whoever had the other end.

use std::{
    io::{self, IoSlice, IoSliceMut, Read as _, Seek as _, Write as _},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use assembler::unpack::Room;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{MemfdFlags, Mode, OFlags, memfd_create, open},
    io::fcntl_dupfd_cloexec,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
        SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType,
        recvmsg, sendmsg, shutdown, socketpair,
    },
};
use serde::{Deserialize, Serialize};

/// Longest packet; what is longer goes as a file in memory.
const LONGEST: usize = 32 << 10;
/// Longest message at all.
const LIMIT: u64 = 16 << 20;
/// Most differences that are told.
pub(super) const DIFFERENCES: usize = 20;
/// Most descriptors of a message.
pub(super) const MOST: usize = 200;

/// What is said.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Message {
    /// The namespace of users is there and waits for its mapping.
    Unshared,
    /// It is mapped.
    Mapped,
    /// What is to be done: the first descriptor is a file with the job, the others are the job's own.
    Job,
    /// The terminal of the cage; with its descriptor.
    Terminal,
    /// The program runs, and this is its process.
    Started {
        /// Its number on this machine.
        pid: i32,
    },
    /// The cage's network is there; with the descriptor of its namespace.
    Network,
    /// It could not be done.
    Failed {
        /// What was tried.
        what: String,
        /// What the system said; 0 if it was not the system.
        errno: i32,
    },
    /// How an unpacked layer differs from what it was.
    Differences {
        /// In words; at most [`DIFFERENCES`] of them.
        found: Vec<String>,
    },
    /// What a tree has that was not packed.
    LeftOut {
        /// In words; at most [`DIFFERENCES`] of them.
        found: Vec<String>,
    },
    /// How much room trees take, in the order in which they were named.
    Taken {
        /// One for each.
        found: Vec<Room>,
    },
    /// It is done, or the program ended with this status.
    Ended {
        /// Its exit status; 128 + n for signal n.
        status: i32,
    },
    /// The program is to get this signal.
    Signal {
        /// Its number.
        number: i32,
    },
    /// What is said is longer than a packet: the last descriptor is a file with it.
    Long,
}

/// One end.
#[derive(Debug)]
pub(super) struct Channel(OwnedFd);

impl Channel {
    /// Makes both ends.
    pub(super) fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Self(one), Self(other)))
    }

    /// Takes the end that is this process's standard input, for itself alone.
    pub(super) fn of_stdin() -> io::Result<Self> {
        let own = fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
        let null = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        rustix::stdio::dup2_stdin(&null)?;
        Ok(Self(own))
    }

    pub(super) fn into_descriptor(self) -> OwnedFd {
        self.0
    }

    /// Says something.
    pub(super) fn send(&self, message: &Message, with: &[BorrowedFd<'_>]) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        if text.len() <= LONGEST {
            return self.send_packet(&text, with);
        }
        if text.len() as u64 > LIMIT || with.len() >= MOST {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let file = in_memory(&text)?;
        let mut with = with.to_vec();
        with.push(file.as_fd());
        self.send_packet(&serde_json::to_vec(&Message::Long)?, &with)
    }

    fn send_packet(&self, text: &[u8], with: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !with.is_empty() && !control.push(SendAncillaryMessage::ScmRights(with)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let sent = sendmsg(
            &self.0,
            &[IoSlice::new(text)],
            &mut control,
            SendFlags::NOSIGNAL,
        )?;
        if sent == text.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }

    /// Hears something; `None` at the end of the channel.
    pub(super) fn receive(&self) -> io::Result<Option<(Message, Vec<OwnedFd>)>> {
        let mut text = vec![0; LONGEST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut parts = [IoSliceMut::new(&mut text)];
            match recvmsg(&self.0, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::CONNRESET) => return Ok(None),
                received => break received?,
            }
        };
        let mut with = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                with.extend(descriptors);
            }
        }
        if received.bytes == 0 {
            return Ok(None);
        }
        if received.flags.contains(ReturnFlags::TRUNC) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        text.truncate(received.bytes);
        match serde_json::from_slice(&text)? {
            Message::Long => {
                let file = with.pop().ok_or(io::ErrorKind::InvalidData)?;
                let mut text = Vec::new();
                let mut file = fs_err::File::from_parts(file.into(), "a message").take(LIMIT);
                file.read_to_end(&mut text)?;
                Ok(Some((serde_json::from_slice(&text)?, with)))
            }
            message => Ok(Some((message, with))),
        }
    }

    /// Ends it for both, whoever else holds this end.
    pub(super) fn shut(&self) {
        // One whose other end is gone has ended.
        shutdown(&self.0, Shutdown::Both).unwrap_or_default();
    }

    /// Waits for a while; tells whether there is something to hear, the end included.
    pub(super) fn has_something(&self, wait: Timespec) -> io::Result<bool> {
        let mut ready = [PollFd::new(&self.0, PollFlags::IN)];
        match poll(&mut ready, Some(&wait)) {
            Err(rustix::io::Errno::INTR) => Ok(false),
            polled => Ok(polled? > 0),
        }
    }
}

/// Keeps bytes in a file that no directory has.
pub(super) fn in_memory(bytes: &[u8]) -> io::Result<OwnedFd> {
    let file = memfd_create("aicage", MemfdFlags::CLOEXEC)?;
    let mut file = fs_err::File::from_parts(file.into(), "memory");
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into_parts().0.into())
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_any_length_arrives_whole_and_one_without_end_is_refused() {
        let (ours, theirs) = Channel::pair().unwrap();
        let null = open("/dev/null", OFlags::RDWR, Mode::empty()).unwrap();
        for length in [1, LONGEST, 8 * LONGEST, 1 << 20] {
            let message = Message::Differences {
                found: vec!["x".repeat(length)],
            };
            ours.send(&message, &[null.as_fd()]).unwrap();
            let (heard, with) = theirs.receive().unwrap().unwrap();
            assert!(heard == message, "{length} bytes");
            assert_eq!(with.len(), 1, "its own descriptors come along");
        }
        let endless = Message::Failed {
            what: "x".repeat(17 << 20),
            errno: 0,
        };
        assert!(ours.send(&endless, &[]).is_err());
        drop(ours);
        assert!(theirs.receive().unwrap().is_none(), "the end");
    }
}
