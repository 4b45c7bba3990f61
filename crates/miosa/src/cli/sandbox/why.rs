//! Whether a request of a sandbox would pass, and why: the broker's own decision.

use std::process::ExitCode;

use clap::Args;
use miosa_api::broker::Effect;
use miosa_api::egress::Explanation;
use miosa_client::Client;

use super::network::{effect_text, matter};
use crate::cli::error::Result;
use crate::cli::printer::{Printer, View};

/// Which request.
#[derive(Args)]
pub struct Why {
    /// Id of the sandbox
    id: String,
    /// Absolute address
    url: String,
    /// Its method
    #[arg(long, short = 'X', default_value = "GET")]
    method: String,
}

/// Runs the verb.
pub async fn why(args: Why, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.explain(&args.id, &args.method, &args.url).await?;
    if printer.json {
        printer.json(answer.json());
        return Ok(ExitCode::SUCCESS);
    }
    let explanation = answer.data()?;
    // What a rule says, where it is one of the policy's; its id alone tells a person little.
    let policy = client.effective_policy(&args.id).await?.data()?;
    let rule = policy.rules.iter().find(|rule| rule.id == explanation.rule);
    let rule = rule.map(|rule| {
        let effect = effect_text(rule.effect);
        format!(
            "{effect} {} of the {} ({})",
            matter(rule),
            rule.resource_type,
            rule.id
        )
    });
    let rule = rule.unwrap_or_else(|| explanation.rule.clone());
    printer.view(View::Fields(fields(explanation, rule)));
    Ok(ExitCode::SUCCESS)
}

fn fields(explanation: Explanation, rule: String) -> Vec<(&'static str, String)> {
    let how = explanation.transport.as_deref().map(|how| match how {
        "tunnel" => "TLS is passed on unopened",
        "intercept" => "every request is looked at",
        _ => "plain HTTP, every request is looked at",
    });
    let credential = explanation.binding.as_ref().map(|binding| {
        let places = binding.places.join(" or ");
        format!("${} ({}), as {places}", binding.env_name, binding.connector)
    });
    let others = explanation.credentials.iter().filter(|credential| {
        credential.decision == Effect::Deny && explanation.code != credential.code
    });
    let others = others.map(|credential| {
        let code = credential.code.as_deref().unwrap_or_default();
        format!("${}: {code}", credential.env_name)
    });
    vec![
        (
            "request",
            format!("{} {}", explanation.method, explanation.url),
        ),
        ("decision", effect_text(explanation.decision).to_owned()),
        ("rule", rule),
        ("how", how.unwrap_or_default().to_owned()),
        ("code", explanation.code.clone().unwrap_or_default()),
        ("why", explanation.message.clone().unwrap_or_default()),
        ("credential", credential.unwrap_or_default()),
        ("refused with", others.collect::<Vec<_>>().join(", ")),
        ("allowed", explanation.allowed.join("; ")),
        ("hint", explanation.hint.clone().unwrap_or_default()),
    ]
}
