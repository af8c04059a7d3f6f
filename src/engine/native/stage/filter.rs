//! Which calls of the kernel a cage's programs may make.

use std::{collections::BTreeMap, io};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule,
};

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

/// Installs the filters; the second one's answer counts where both refuse.
pub(super) fn install() -> io::Result<()> {
    for program in programs().map_err(io::Error::other)? {
        kernel::filter(&program)?;
    }
    Ok(())
}

fn programs() -> Result<[BpfProgram; 2], seccompiler::BackendError> {
    let errno = |number: i32| SeccompAction::Errno(number.unsigned_abs());
    let allowed = calls::allowed().map(|call| (call, Vec::new())).collect();
    let mut refused: BTreeMap<i64, Vec<SeccompRule>> =
        calls::refused().map(|call| (call, Vec::new())).collect();
    let namespaces = [
        0x0002_0000,
        0x0200_0000,
        0x0400_0000,
        0x0800_0000,
        0x1000_0000,
        0x2000_0000,
        0x4000_0000,
    ];
    debug_assert_eq!(namespaces.iter().sum::<u64>(), NAMESPACES, "all of them");
    let mut rules = Vec::new();
    for flag in namespaces {
        rules.push(when(&[(0, SeccompCmpOp::MaskedEq(flag), flag)])?);
    }
    refused.insert(libc::SYS_clone, rules);
    let mut rules = Vec::new();
    for request in TERMINAL {
        rules.push(when(&[(1, SeccompCmpOp::Eq, request)])?);
    }
    refused.insert(libc::SYS_ioctl, rules);
    let others = PERSONALITIES.map(|one| (0, SeccompCmpOp::Ne, one));
    refused.insert(libc::SYS_personality, vec![when(&others)?]);
    let mut rules = Vec::new();
    for family in FAMILIES {
        rules.push(when(&[(0, SeccompCmpOp::Eq, family)])?);
    }
    refused.insert(libc::SYS_socket, rules);
    let architecture = std::env::consts::ARCH.try_into()?;
    Ok([
        SeccompFilter::new(
            allowed,
            errno(libc::ENOSYS),
            SeccompAction::Allow,
            architecture,
        )?
        .try_into()?,
        SeccompFilter::new(
            refused,
            SeccompAction::Allow,
            errno(libc::EPERM),
            architecture,
        )?
        .try_into()?,
    ])
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
