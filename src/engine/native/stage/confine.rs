//! What the first process of a cage gives up before it becomes the program.
//!
//! Invariant: the order. Scopes and filters need rights that are given up last, by becoming the program.

use std::io;

use landlock::{
    BitFlags, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _,
    Scope,
};
use rustix::{
    process::{Gid, Resource, Rlimit, Uid, setrlimit},
    thread::{
        CapabilitySet, remove_capability_from_bounding_set, set_no_new_privs, set_thread_groups,
        set_thread_res_gid, set_thread_res_uid,
    },
};

use super::{StageError, filter, tried};
use crate::engine::native::cage::{Confinement, Limit, Program};

/// Keeps this process, and all that it starts, from what a cage is kept from.
pub(super) fn confine(confinement: &Confinement, scope: BitFlags<Scope>) -> Result<(), StageError> {
    let kept = capabilities(&confinement.capabilities)?;
    for capability in CapabilitySet::all() {
        if !kept.contains(capability) {
            // Kernels know fewer of them than we do.
            remove_capability_from_bounding_set(capability).unwrap_or_default();
        }
    }
    scopes(scope)?;
    if confinement.no_new_privileges {
        tried(set_no_new_privs(true), || {
            "give up gaining rights".to_owned()
        })?;
    }
    if confinement.filter {
        tried(filter::install(), || "filter the kernel's calls".to_owned())?;
    }
    Ok(())
}

/// Returns capabilities by their names, with or without `CAP_`.
fn capabilities(names: &[String]) -> Result<CapabilitySet, StageError> {
    let mut set = CapabilitySet::empty();
    for name in names {
        let upper = name.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        set |= match CapabilitySet::from_name(name) {
            Some(capability) => capability,
            None if name == "ALL" => CapabilitySet::all(),
            None => {
                let what = format!("keep the capability {name}, which there is not");
                return Err(StageError::new(what, io::ErrorKind::InvalidInput));
            }
        };
    }
    Ok(set)
}

/// Keeps programs from sockets and processes outside that a network and a number alone would lead to. Kernels before 6.12
/// have no such scope.
fn scopes(scope: BitFlags<Scope>) -> Result<(), StageError> {
    let restricted = (|| {
        Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .scope(scope)?
            .create()?
            .no_new_privs(false)
            .restrict_self()
    })();
    restricted.map(|_| ()).map_err(|error| {
        StageError::new("close the sockets of this machine", io::Error::other(error))
    })
}

/// Becomes the program's user, inside.
pub(super) fn become_user(program: &Program) -> Result<(), StageError> {
    let what = || "become the program's user".to_owned();
    let (uid, gid) = (Uid::from_raw(program.user.0), Gid::from_raw(program.user.1));
    let groups: Vec<Gid> = program
        .groups
        .iter()
        .map(|&gid| Gid::from_raw(gid))
        .collect();
    tried(set_thread_groups(&groups), what)?;
    tried(set_thread_res_gid(gid, gid, gid), what)?;
    tried(set_thread_res_uid(uid, uid, uid), what)
}

/// Limits this process and all that it starts.
pub(super) fn limit(limits: &[Limit]) -> Result<(), StageError> {
    for limit in limits {
        let what = || match limit.soft {
            Some(soft) => format!("limit {} to {soft}", limit.name),
            None => format!("take the limit of {} away", limit.name),
        };
        let resource = match limit.name.as_str() {
            "core" => Resource::Core,
            "cpu" => Resource::Cpu,
            "data" => Resource::Data,
            "fsize" => Resource::Fsize,
            "locks" => Resource::Locks,
            "memlock" => Resource::Memlock,
            "msgqueue" => Resource::Msgqueue,
            "nice" => Resource::Nice,
            "nofile" => Resource::Nofile,
            "nproc" => Resource::Nproc,
            "rss" => Resource::Rss,
            "rtprio" => Resource::Rtprio,
            "rttime" => Resource::Rttime,
            "sigpending" => Resource::Sigpending,
            "stack" => Resource::Stack,
            _ => return Err(StageError::new(what(), io::ErrorKind::InvalidInput)),
        };
        let new = Rlimit {
            current: limit.soft,
            maximum: limit.hard,
        };
        tried(setrlimit(resource, new), what)?;
    }
    Ok(())
}
