//! What survives when a part of miosa is killed with SIGKILL, and that nothing is left of the rest.
//!
//! One world, one case after the other: each kills a process that all sandboxes share, or starts the
//! server anew. Conditions are waited for, never times.

mod broker;
mod budgets;
mod host;
mod moments;
mod server;
mod shim;
mod snapshots;
mod support;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use support::Stage;
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    if arguments.list {
        libtest_mimic::run(&arguments, trials(None)).exit();
    }
    let runtime = Runtime::new().expect("a runtime for the tests");
    let stage = match runtime.block_on(Stage::build()) {
        Ok(stage) => Arc::new(Mutex::new(stage)),
        Err(error) => return fail(&format!("the world did not start: {error:#}")),
    };
    let conclusion = libtest_mimic::run(&arguments, trials(Some((&runtime, &stage))));
    let Some(stage) = Arc::into_inner(stage) else {
        return fail("a case still holds the world");
    };
    match runtime.block_on(stage.into_inner().end()) {
        Ok(left) if left.is_empty() => conclusion.exit_code(),
        Ok(left) => fail(&format!("left over after the tests:\n{}", left.join("\n"))),
        Err(error) => fail(&format!("the world did not end: {error:#}")),
    }
}

type Ground<'a> = Option<(&'a Runtime, &'a Arc<Mutex<Stage>>)>;

fn trials(ground: Ground<'_>) -> Vec<Trial> {
    macro_rules! cases {
        ($($module:ident :: $case:ident),* $(,)?) => {
            vec![$(trial(concat!(stringify!($module), "::", stringify!($case)), ground, async |stage: &mut Stage| $module::$case(stage).await)),*]
        };
    }
    cases![
        server::a_running_sandbox_is_found_again,
        server::a_run_ends_with_its_whole_output,
        broker::nothing_passes_without_it,
        budgets::hold_over_a_killed_broker,
        shim::its_death_is_an_error_that_can_be_deleted,
        moments::of_a_create,
        moments::of_a_stop,
        moments::of_a_delete,
        snapshots::of_a_snapshot,
        snapshots::of_a_fork,
    ]
}

fn trial(
    name: &str,
    ground: Ground<'_>,
    case: impl AsyncFnOnce(&mut Stage) -> anyhow::Result<()> + Send + 'static,
) -> Trial {
    let ground = ground.map(|(runtime, stage)| (runtime.handle().clone(), Arc::clone(stage)));
    Trial::test(name, move || {
        let (handle, stage) = ground.ok_or("listed, not run")?;
        handle
            .block_on(async { case(&mut *stage.lock().await).await })
            .map_err(|error| format!("{error:#}").into())
    })
}

#[expect(clippy::print_stderr, reason = "a test's own failure")]
fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::FAILURE
}
