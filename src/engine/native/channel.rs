//! How aicage and the processes that make cages talk: one packet a message, with descriptors.
//!
//! Invariant: the end of the channel is the end of whoever had the other end.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{Mode, OFlags, open},
    io::fcntl_dupfd_cloexec,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
        SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
        sendmsg, socketpair,
    },
};
use serde::{Deserialize, Serialize};

/// Longest message; what is longer goes as a file.
const LONGEST: usize = 32 << 10;
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
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !with.is_empty() && !control.push(SendAncillaryMessage::ScmRights(with)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let sent = sendmsg(
            &self.0,
            &[IoSlice::new(&text)],
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
        Ok(Some((serde_json::from_slice(&text)?, with)))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
