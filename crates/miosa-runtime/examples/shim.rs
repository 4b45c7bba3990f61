//! The shim alone, for this crate's tests: `shim shim <folder>`, as `miosa` is called.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args_os().nth(2) {
        Some(dir) => miosa_runtime::shim_main(&PathBuf::from(dir)),
        None => ExitCode::FAILURE,
    }
}
