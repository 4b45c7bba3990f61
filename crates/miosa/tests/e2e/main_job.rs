//! The flow that must always work, whole.

use std::sync::Arc;

use anyhow::{Result, ensure};
use miosa_testkit::main_job::{self, Keys};

use crate::support::Stage;

pub async fn performs_every_step(stage: Arc<Stage>) -> Result<()> {
    let keys = Keys {
        refero: stage.rig.refero_token.clone(),
        anthropic: stage.rig.model_key.clone(),
    };
    let summary = main_job::run(&stage.world, Some(&stage.rig), &keys, &mut |_| {}).await?;
    let proofs = &summary.proofs;
    ensure!(
        summary.agent_file.contains(main_job::REFERENCE),
        "the agent's file: {}",
        summary.agent_file
    );
    ensure!(
        summary.build_exit_code == 0 && summary.page_shown,
        "the page is not shown: {summary:?}"
    );
    ensure!(
        proofs.environment.starts_with("miosa-tok-"),
        "the variable is {}",
        proofs.environment
    );
    ensure!(
        !proofs.real_value_inside && !proofs.list_shows_a_value,
        "a value is where it must not be: {proofs:?}"
    );
    ensure!(
        proofs.provider_saw_real_token == Some(true),
        "the provider did not see the token"
    );
    let codes: Vec<&str> = proofs
        .refusals
        .iter()
        .map(|refusal| refusal.code.as_str())
        .collect();
    let expected = [
        "EGRESS_PLACEHOLDER_NOT_BOUND",
        "EGRESS_PLACEHOLDER_NOT_BOUND",
        "EGRESS_PATH_NOT_BOUND",
        "EGRESS_METHOD_NOT_BOUND",
        "EGRESS_CLEARTEXT_CREDENTIAL",
    ];
    ensure!(codes == expected, "refused with {codes:?}");
    ensure!(
        proofs.attacker_bytes == Some(0),
        "bytes reached the attacker"
    );
    ensure!(
        proofs.token_code == "MANAGED_PROVIDER_BINDING_ONLY",
        "the token route answered {}",
        proofs.token_code
    );
    let used = format!(
        "POST api.refero.design /mcp {} allow -",
        crate::support::MANAGED
    );
    ensure!(
        proofs.audit.contains(&used),
        "the audit lacks `{used}`: {:#?}",
        proofs.audit
    );
    Ok(())
}
