//! Hardening of the broker's process: it holds the key that opens secrets.
//!
//! INVARIANT: after [`no_core`] no core file can be written and no process of the same user can
//! attach to this one or read its memory.

use std::io;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};

use crate::error::EgressError;
use crate::weaken::{Defence, is_off};

/// Forbids core files and attaching.
pub fn no_core() -> Result<(), EgressError> {
    if is_off(Defence::Hardening) {
        return Ok(());
    }
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).map_err(|errno| harden("RLIMIT_CORE", errno.into()))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|errno| harden("PR_SET_DUMPABLE", errno.into()))
}

/// Takes all the descriptors the process may have: connections of many sandboxes are many. Fewer work, too.
pub fn more_files() {
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, all) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Becomes `uid` (and the group of the same number) for good, in every thread.
#[expect(
    unsafe_code,
    reason = "only glibc's own calls change all threads at once; rustix changes the calling thread"
)]
pub fn drop_to(uid: u32) -> Result<(), EgressError> {
    // SAFETY: a list of length 0 is never read; glibc applies the call to all threads.
    check("setgroups", unsafe { libc::setgroups(0, std::ptr::null()) })?;
    // SAFETY: plain integers.
    check("setresgid", unsafe { libc::setresgid(uid, uid, uid) })?;
    // SAFETY: plain integers.
    check("setresuid", unsafe { libc::setresuid(uid, uid, uid) })?;
    // The kernel makes a process dumpable again or not by a system setting when its user changes.
    no_core()
}

fn check(step: &'static str, answer: libc::c_int) -> Result<(), EgressError> {
    if answer == 0 {
        Ok(())
    } else {
        Err(harden(step, io::Error::last_os_error()))
    }
}

fn harden(step: &'static str, source: io::Error) -> EgressError {
    EgressError::Harden { step, source }
}
