//! Which calls of the kernel a cage's programs may make.

use std::{collections::BTreeMap, io};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, sock_filter,
};

#[cfg(target_arch = "x86_64")]
use super::calls_32;
use super::{calls, kernel};

/// Flags of `clone` that make namespaces.
const NAMESPACES: u64 = 0x7e02_0000;
/// Characters put into a terminal's input, and what the console does for a program.
const TERMINAL: [u64; 2] = [0x5412, 0x541c];
/// Ways to run that are harmless.
const PERSONALITIES: [u64; 5] = [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// Families of sockets that are refused. Docker refuses the first one, to a hypervisor; the other one has the kernel
/// encipher, which every library does by itself, and mistakes there have let programs write to files that they may only read.
const FAMILIES: [u64; 2] = [40, 38];

/// What `socketcall` is asked for a socket.
#[cfg(target_arch = "x86_64")]
const MAKE_SOCKET: u64 = 1;
/// Programs of 32 bits, as the kernel names what they are for.
#[cfg(target_arch = "x86_64")]
const I386: u32 = 0x4000_0003;

/// Installs the filters; the answer of the later one counts where both refuse.
pub(super) fn install() -> io::Result<()> {
    for program in programs().map_err(io::Error::other)? {
        kernel::filter(&program)?;
    }
    Ok(())
}

/// The calls by the numbers that they have for one kind of programs.
struct Calls {
    /// The kind, if it is another one than ours.
    other: Option<u32>,
    allowed: BTreeMap<i64, Vec<SeccompRule>>,
    refused: BTreeMap<i64, Vec<SeccompRule>>,
}

/// Why there is no filter.
#[derive(Debug, thiserror::Error)]
enum FilterError {
    #[error(transparent)]
    Backend(#[from] seccompiler::BackendError),
    #[error("a filter does not begin with what it is for")]
    Beginning,
}

impl Calls {
    /// Joins what is allowed and refused whatever its arguments are with the four that depend on them.
    fn of(
        other: Option<u32>,
        (allowed, refused): (impl Iterator<Item = i64>, impl Iterator<Item = i64>),
        [clone, ioctl, personality, socket]: [i64; 4],
    ) -> Result<Self, FilterError> {
        let plain = |call| (call, Vec::new());
        let mut refused: BTreeMap<_, _> = refused.map(plain).collect();
        refused.insert(clone, namespaces()?);
        refused.insert(ioctl, any(1, &TERMINAL)?);
        refused.insert(personality, personalities()?);
        refused.insert(socket, any(0, &FAMILIES)?);
        Ok(Self {
            other,
            allowed: allowed.map(plain).collect(),
            refused,
        })
    }
}

fn programs() -> Result<Vec<BpfProgram>, FilterError> {
    let own = Calls::of(
        None,
        (calls::allowed(), calls::refused()),
        [
            libc::SYS_clone,
            libc::SYS_ioctl,
            libc::SYS_personality,
            libc::SYS_socket,
        ],
    )?;
    let kinds = [
        own,
        #[cfg(target_arch = "x86_64")]
        of_32_bits()?,
    ];
    let mut programs = Vec::new();
    let mut known = Vec::new();
    for calls in kinds {
        let errno = |number: i32| SeccompAction::Errno(number.unsigned_abs());
        let unknown = (errno(libc::ENOSYS), SeccompAction::Allow);
        let refused = (SeccompAction::Allow, errno(libc::EPERM));
        for (rules, (otherwise, found)) in [(calls.allowed, unknown), (calls.refused, refused)] {
            let architecture = std::env::consts::ARCH.try_into()?;
            let filter = SeccompFilter::new(rules, otherwise, found, architecture)?;
            let (program, kind) = only_for(filter.try_into()?, calls.other)?;
            programs.push(program);
            known.push(kind);
        }
    }
    programs.push(gate(&known));
    Ok(programs)
}

#[cfg(target_arch = "x86_64")]
fn of_32_bits() -> Result<Calls, FilterError> {
    let mut calls = Calls::of(
        Some(I386),
        (calls_32::allowed(), calls_32::refused()),
        [
            calls_32::CLONE,
            calls_32::IOCTL,
            calls_32::PERSONALITY,
            calls_32::SOCKET,
        ],
    )?;
    let sockets = any(0, &[MAKE_SOCKET])?;
    calls.refused.insert(calls_32::SOCKETCALL, sockets);
    Ok(calls)
}

/// Has a filter let all calls pass but those of one kind of programs; `seccompiler` ends the others. Returns the kind, too.
fn only_for(mut program: BpfProgram, other: Option<u32>) -> Result<(BpfProgram, u32), FilterError> {
    let [_load, kind, verdict, ..] = program.as_mut_slice() else {
        return Err(FilterError::Beginning);
    };
    if (kind.code, verdict.code, verdict.k) != (JUMP, RETURN, libc::SECCOMP_RET_KILL_PROCESS) {
        return Err(FilterError::Beginning);
    }
    verdict.k = libc::SECCOMP_RET_ALLOW;
    kind.k = other.unwrap_or(kind.k);
    let kind = kind.k;
    Ok((program, kind))
}

/// "Return", "jump if it is this" and "load a word", in the machine of filters.
const RETURN: u16 = 0x06;
const JUMP: u16 = 0x15;
const LOAD: u16 = 0x20;
/// Where the kind of the program is in what a filter sees.
const KIND: u32 = 4;

/// Ends programs of all kinds for which there are no filters.
fn gate(known: &[u32]) -> BpfProgram {
    let step = |code, jf, k| sock_filter { code, jt: 0, jf, k };
    let mut program = vec![step(LOAD, 0, KIND)];
    for kind in known {
        // To the next step but one if it is not.
        program.push(step(JUMP, 1, *kind));
        program.push(step(RETURN, 0, libc::SECCOMP_RET_ALLOW));
    }
    program.push(step(RETURN, 0, libc::SECCOMP_RET_KILL_PROCESS));
    program
}

fn namespaces() -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let flags = [
        0x0002_0000,
        0x0200_0000,
        0x0400_0000,
        0x0800_0000,
        0x1000_0000,
        0x2000_0000,
        0x4000_0000,
    ];
    debug_assert_eq!(flags.iter().sum::<u64>(), NAMESPACES, "all of them");
    let rules = flags.map(|flag| when(&[(0, SeccompCmpOp::MaskedEq(flag), flag)]));
    rules.into_iter().collect()
}

fn personalities() -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let others = PERSONALITIES.map(|one| (0, SeccompCmpOp::Ne, one));
    Ok(vec![when(&others)?])
}

/// An argument that is one of these.
fn any(argument: u8, values: &[u64]) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let one = |value: &u64| when(&[(argument, SeccompCmpOp::Eq, *value)]);
    values.iter().map(one).collect()
}

fn when(conditions: &[(u8, SeccompCmpOp, u64)]) -> Result<SeccompRule, seccompiler::BackendError> {
    let conditions = conditions
        .iter()
        .map(|(argument, operator, value)| {
            SeccompCondition::new(*argument, Dword, operator.clone(), *value)
        })
        .collect::<Result<_, _>>()?;
    SeccompRule::new(conditions)
}
