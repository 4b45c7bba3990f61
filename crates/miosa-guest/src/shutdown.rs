//! The end of the sandbox: ask, wait, kill.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::reaper::Reaper;
use crate::sys;

/// How often the end is looked for, and how long answers on their way get.
const STEP: Duration = Duration::from_millis(10);
/// How long killed processes may take to disappear.
const KILLED_MAX: Duration = Duration::from_secs(2);

/// Ends every process of the sandbox; those that remain after `grace` are killed.
pub async fn end_all(reaper: &Reaper, grace: Duration) {
    // The answer to the request that asked for this is still on its way.
    sleep(STEP).await;
    signal(reaper, libc::SIGTERM);
    signal(reaper, libc::SIGCONT);
    wait_for_all(reaper, grace).await;
    signal(reaper, libc::SIGKILL);
    wait_for_all(reaper, KILLED_MAX).await;
    sleep(STEP).await;
}

async fn wait_for_all(reaper: &Reaper, longest: Duration) {
    let deadline = Instant::now() + longest;
    while reaper.reap() && Instant::now() < deadline {
        sleep_until(deadline.min(Instant::now() + STEP)).await;
    }
}

/// As pid 1: everything. Otherwise what was started here, by group.
fn signal(reaper: &Reaper, signal: i32) {
    if sys::is_init() {
        sys::signal_all(signal);
        return;
    }
    for pid in reaper.running() {
        sys::signal_group(pid, signal);
    }
}
