//! A command of the caller's: the instruction is its last argument and in `MIOSA_INSTRUCTION`.

use super::{AgentPlan, RunContext, variables, words};

/// Beyond this the kernel refuses an argument or a variable (`MAX_ARG_STRLEN`, 128 KiB); the instruction
/// is then on standard input alone, where it always is.
const ARGUMENT_BYTES_MAX: usize = 120 * 1024;

pub(super) fn plan(run: &RunContext) -> AgentPlan {
    let command = run.command.as_deref().unwrap_or_default();
    let mut plan = AgentPlan {
        argv: words(&["sh", "-c", &format!("{command} \"$@\""), "miosa-agent"]),
        stdin: Some(run.instruction.clone().into_bytes()),
        ..AgentPlan::default()
    };
    if run.instruction.len() <= ARGUMENT_BYTES_MAX {
        plan.argv.push(run.instruction.clone());
        plan.env = variables(&[("MIOSA_INSTRUCTION", &run.instruction)]);
    }
    plan
}
