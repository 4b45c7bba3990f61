//! The environment of a command: what the host sent, and a few defaults.

use std::collections::BTreeMap;

use miosa_api::guest::ExecStart;

use crate::user::Account;

/// Where programs are when nobody says otherwise.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// All variables. The agent's own never reach a command.
pub fn of(start: &ExecStart, account: &Account) -> BTreeMap<String, String> {
    let mut environment = start.env.clone();
    let mut default = |name: &str, value: &str| {
        environment
            .entry(name.to_owned())
            .or_insert_with(|| value.to_owned());
    };
    default("PATH", DEFAULT_PATH);
    default("HOME", &account.home);
    default("USER", &account.name);
    default("LANG", "C.UTF-8");
    if start.tty.is_some() {
        default("TERM", "xterm-256color");
    }
    environment
}
