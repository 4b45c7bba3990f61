//! The official Python SDK, unmodified, against the real server: every program of `tests/sdk`, once with
//! the synchronous client and once with the asynchronous one.
//!
//! One world serves all of them, each with a key of its own; they run side by side, and after the last one
//! nothing may be left on the machine.

mod python;
mod support;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use support::{Program, Stage};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let programs = match Program::all() {
        Ok(programs) => programs,
        Err(error) => return fail(&format!("no programs: {error:#}")),
    };
    if arguments.list {
        libtest_mimic::run(&arguments, trials(None, programs)).exit();
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime for the tests");
    let stage = match runtime.block_on(Stage::build()) {
        Ok(stage) => Arc::new(stage),
        Err(error) => return fail(&format!("the world did not start: {error:#}")),
    };
    let trials = trials(Some((&runtime, &stage)), programs);
    let conclusion = libtest_mimic::run(&arguments, trials);
    match runtime.block_on(Stage::end(stage)) {
        Ok(left) if left.is_empty() => conclusion.exit_code(),
        Ok(left) => fail(&format!("left over after the tests:\n{}", left.join("\n"))),
        Err(error) => fail(&format!("the world did not end: {error:#}")),
    }
}

type Ground<'a> = Option<(&'a tokio::runtime::Runtime, &'a Arc<Stage>)>;

fn trials(ground: Ground<'_>, programs: Vec<Program>) -> Vec<Trial> {
    programs
        .into_iter()
        .map(|program| {
            let ground =
                ground.map(|(runtime, stage)| (runtime.handle().clone(), Arc::clone(stage)));
            Trial::test(program.name(), move || {
                let (handle, stage) = ground.ok_or("listed, not run")?;
                handle
                    .block_on(stage.run(&program))
                    .map_err(|error| format!("{error:#}").into())
            })
        })
        .collect()
}

#[expect(clippy::print_stderr, reason = "a test's own failure")]
fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::FAILURE
}
