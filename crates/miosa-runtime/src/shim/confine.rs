//! Limits, capabilities, no new privileges, Landlock: what the guest's process gives up for good.

use std::io;

use landlock::{ABI, Access, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetStatus, Scope};
use oci_spec::runtime::{Capabilities, PosixRlimitType, Process};
use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::error::{RuntimeError, Step};

/// Gives everything up; returns what is worth a line in the log.
pub(super) fn apply(process: &Process) -> Result<Vec<String>, RuntimeError> {
    set_limits(process).step("setting resource limits")?;
    drop_capabilities(process).step("dropping capabilities")?;
    rustix::thread::set_no_new_privs(true).step("forbidding new privileges")?;
    let status = scope()
        .map_err(io::Error::other)
        .step("entering a Landlock domain")?;
    let note = match status {
        RulesetStatus::FullyEnforced => None,
        _ => Some(
            "this kernel's Landlock has no scopes (before Linux 6.12): going on without".to_owned(),
        ),
    };
    Ok(note.into_iter().collect())
}

fn set_limits(process: &Process) -> io::Result<()> {
    for limit in process.rlimits().iter().flatten() {
        let resource = match limit.typ() {
            PosixRlimitType::RlimitNofile => Resource::Nofile,
            PosixRlimitType::RlimitCore => Resource::Core,
            PosixRlimitType::RlimitMemlock => Resource::Memlock,
            other => return Err(io::Error::other(format!("unknown limit {other:?}"))),
        };
        // A process may lower its limits, not raise them: it takes what the host gives.
        let most = rustix::process::getrlimit(resource)
            .maximum
            .unwrap_or(u64::MAX);
        let wanted = Rlimit {
            current: Some(limit.soft().min(most)),
            maximum: Some(limit.hard().min(most)),
        };
        rustix::process::setrlimit(resource, wanted)?;
    }
    Ok(())
}

/// The bounding set limits what root inside gets by `exec`; the sets of this process follow.
fn drop_capabilities(process: &Process) -> io::Result<()> {
    let wanted = process
        .capabilities()
        .as_ref()
        .and_then(|all| all.bounding().as_ref());
    let kept = set_of(wanted)?;
    for capability in CapabilitySet::all().difference(kept).iter() {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // One that this kernel does not know.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    rustix::thread::clear_ambient_capability_set()?;
    let inheritable = CapabilitySet::empty();
    rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: kept,
            permitted: kept,
            inheritable,
        },
    )?;
    Ok(())
}

fn set_of(capabilities: Option<&Capabilities>) -> io::Result<CapabilitySet> {
    let mut set = CapabilitySet::empty();
    for capability in capabilities.into_iter().flatten() {
        let name = serde_json::to_value(capability)?;
        let name = name
            .as_str()
            .unwrap_or_default()
            .trim_start_matches("CAP_")
            .to_owned();
        let unknown = || io::Error::other(format!("unknown capability {name}"));
        set |= CapabilitySet::from_name(&name).ok_or_else(unknown)?;
    }
    Ok(set)
}

/// A domain of its own: no signal and no abstract socket leaves it, and nobody in it may trace a
/// process outside. Files are not restricted by it: the root is all there is.
fn scope() -> Result<RulesetStatus, landlock::RulesetError> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .scope(Scope::from_all(ABI::V6))?
        .create()?;
    Ok(ruleset.restrict_self()?.ruleset)
}
