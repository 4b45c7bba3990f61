//! The real program, its real server, broker and sandboxes, against local providers under the real names.
//!
//! One world serves all cases: the template is built once (and kept in the target folder), cases run side
//! by side in sandboxes of their own, and after the last one nothing may be left on the machine.

mod agents;
mod approvals;
mod bad_input;
mod connectors;
mod isolation;
mod lifecycle;
mod main_job;
mod mcp;
mod mcp_server;
mod network;
mod preflight;
mod protocols;
#[path = "../sdk/python.rs"]
mod python;
mod support;
mod trust;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use support::Stage;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if arguments.list {
        libtest_mimic::run(&arguments, trials(None)).exit();
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime for the tests");
    let stage = match runtime.block_on(Stage::build()) {
        Ok(stage) => Arc::new(stage),
        Err(error) => return fail(&format!("the world did not start: {error:#}")),
    };
    let trials = trials(Some((&runtime, &stage)));
    let conclusion = libtest_mimic::run(&arguments, trials);
    let left = runtime.block_on(Stage::end(stage));
    match left {
        Ok(left) if left.is_empty() => conclusion.exit_code(),
        Ok(left) => fail(&format!("left over after the tests:\n{}", left.join("\n"))),
        Err(error) => fail(&format!("the world did not end: {error:#}")),
    }
}

type Ground<'a> = Option<(&'a tokio::runtime::Runtime, &'a Arc<Stage>)>;

fn trials(ground: Ground<'_>) -> Vec<Trial> {
    macro_rules! cases {
        ($($module:ident :: $case:ident),* $(,)?) => {
            vec![$(trial(concat!(stringify!($module), "::", stringify!($case)), ground, $module::$case)),*]
        };
    }
    cases![
        main_job::performs_every_step,
        approvals::a_person_is_asked_and_the_agent_is_told_what_was_said,
        bad_input::unknown_things_have_a_code_and_a_hint,
        bad_input::paths_outside_the_root_are_refused,
        bad_input::loader_names_and_bad_secrets_are_refused,
        bad_input::a_full_disk_is_an_error_of_that_sandbox_alone,
        bad_input::a_gibibyte_goes_up_in_constant_memory,
        connectors::a_second_attach_to_a_variable_is_refused,
        connectors::tokens_come_out_only_for_own_connectors,
        connectors::rotation_keeps_the_placeholder,
        connectors::detached_means_refused_at_once,
        connectors::anothers_placeholder_is_refused,
        connectors::an_echoed_credential_is_taken_out,
        lifecycle::paused_and_stopped_sandboxes_come_back,
        lifecycle::exec_in_a_paused_sandbox_is_refused,
        lifecycle::a_timeout_destroys_or_pauses,
        isolation::the_sandbox_is_its_own_machine,
        isolation::no_packet_leaves_but_through_the_broker,
        isolation::limits_hold,
        mcp::a_real_client_is_told_why_and_goes_on,
        mcp_server::the_inspector_orchestrates_over_standard_streams,
        mcp_server::claude_code_orchestrates,
        mcp_server::over_http_every_request_needs_a_key,
        mcp_server::the_python_sdk_runs_an_agent_and_follows_it,
        mcp_server::nothing_is_done_while_no_key_can_be_checked,
        mcp_server::it_listens_to_nobody_it_was_not_told_of,
        network::a_change_holds_at_once_and_on_open_connections,
        network::what_was_refused_is_pending_until_it_is_decided,
        network::why_agrees_with_what_happens,
        protocols::real_grpc_and_websocket_clients_are_served,
        trust::every_runtime_trusts_the_broker,
        agents::codex_calls_the_connector,
        agents::a_custom_command_is_an_agent,
        agents::a_run_can_be_canceled,
        preflight::preflight_says_what_is_missing,
        preflight::preflight_proves_what_it_says,
        preflight::preflight_finds_a_real_value,
    ]
}

fn trial<F>(
    name: &str,
    ground: Ground<'_>,
    case: impl FnOnce(Arc<Stage>) -> F + Send + 'static,
) -> Trial
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let ground = ground.map(|(runtime, stage)| (runtime.handle().clone(), Arc::clone(stage)));
    Trial::test(name, move || {
        let (handle, stage) = ground.ok_or("listed, not run")?;
        handle
            .block_on(case(stage))
            .map_err(|error| format!("{error:#}").into())
    })
}

#[expect(clippy::print_stderr, reason = "a test's own failure")]
fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::FAILURE
}
