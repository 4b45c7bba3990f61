//! `miosa`: one program with every role.
//!
//! `miosa shim` starts one sandbox and must stay single-threaded, so it is chosen before anything
//! else is made. All other roles and commands are in the command line's grammar (`cli`).

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod cli;
mod guest_binary;
mod mcp;
mod roles;
mod standalone;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|role| role == "shim") {
        return match (arguments.next(), arguments.next()) {
            (Some(folder), None) => roles::shim(Path::new(&folder)),
            _ => ExitCode::from(1),
        };
    }
    cli::main()
}
