//! `./x demo`: the main job, performed by the real program, told in plain sentences.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use miosa_testkit::main_job::{self, Keys, Summary};
use miosa_testkit::registries;
use miosa_testkit::rig::Rig;
use miosa_testkit::world::{self, Settings, World};

use crate::{cache, cargo, root};

/// Performs the main job; with `json` only the summary is printed.
pub fn run(json: bool) -> Result<()> {
    let program = cargo::build_miosa()?.canonicalize()?;
    let runtime = tokio::runtime::Runtime::new().context("no runtime for the demo")?;
    let summary = runtime.block_on(perform(program, json))?;
    if json {
        print(&serde_json::to_string_pretty(&summary)?);
    } else {
        tell(&summary);
    }
    check(&summary)
}

async fn perform(program: PathBuf, quiet: bool) -> Result<Summary> {
    let cache = cache();
    let folder = world::folder()?;
    let real = real_keys();
    let rig = match real {
        Some(_) => None,
        None => Some(Rig::start(folder.path(), &cache, vec![main_job::script()]).await?),
    };
    let keys = real
        .or_else(|| rig.as_ref().map(local_keys))
        .context("neither real keys nor local ones")?;
    if !quiet {
        introduce(rig.is_some());
    }
    let mut flags = rig.as_ref().map(Rig::flags).unwrap_or_default();
    for range in registries::special_ranges(&root().join("templates"))? {
        flags.extend(["--allow-range".to_owned(), range]);
    }
    let world = World::start(
        folder,
        &Settings {
            program,
            cache,
            flags,
            environment: Vec::new(),
        },
    )
    .await?;
    let mut step = 0;
    let mut say = |sentence: &str| {
        step += 1;
        if !quiet {
            print(&format!("{step}. {sentence}"));
        }
    };
    let summary = main_job::run(&world, rig.as_ref(), &keys, &mut say).await;
    let left = world.end().await?;
    let summary = summary?;
    ensure!(
        left.is_empty(),
        "something is left over:\n{}",
        left.join("\n")
    );
    Ok(summary)
}

/// Keys of real accounts, if both are in the environment.
fn real_keys() -> Option<Keys> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    Some(Keys {
        refero: variable("REFERO_MCP_TOKEN")?,
        anthropic: variable("ANTHROPIC_API_KEY")?,
    })
}

fn local_keys(rig: &Rig) -> Keys {
    Keys {
        refero: rig.refero_token.clone(),
        anthropic: rig.model_key.clone(),
    }
}

fn introduce(local: bool) {
    if local {
        print(
            "No REFERO_MCP_TOKEN and ANTHROPIC_API_KEY in the environment: provider and model are local servers under",
        );
        print(
            "the real names (a TLS front with a bearer check before a real MCP server, and a scripted model). All else is real.",
        );
    } else {
        print("Using the real provider and the real model with the keys in the environment.");
    }
}

fn tell(summary: &Summary) {
    let proofs = &summary.proofs;
    print(&format!(
        "The agent's run {} {}: {}",
        summary.run_id, summary.run_status, summary.agent_output
    ));
    print(&format!(
        "It left /workspace/DESIGN.md: {}",
        summary.agent_file.trim()
    ));
    print(&format!(
        "The build ended with {}; the page that was written is {}.",
        summary.build_exit_code,
        if summary.page_shown {
            "shown"
        } else {
            "NOT shown"
        }
    ));
    print(&format!(
        "Inside, REFERO_MCP_TOKEN is {}; a real value inside: {}.",
        proofs.environment, proofs.real_value_inside
    ));
    if let Some(seen) = proofs.provider_saw_real_token {
        print(&format!("The provider saw the real token: {seen}."));
    }
    for refusal in &proofs.refusals {
        print(&format!(
            "The placeholder to {}: {} {}.",
            refusal.attempt, refusal.status, refusal.code
        ));
    }
    print(&format!(
        "`connectors list` shows a value: {}; `connectors token` answers {}.",
        proofs.list_shows_a_value, proofs.token_code
    ));
    print("The audit (method host path connector decision code):");
    proofs
        .audit
        .iter()
        .for_each(|row| print(&format!("  {row}")));
}

/// The demo fails when anything is not as promised.
fn check(summary: &Summary) -> Result<()> {
    let proofs = &summary.proofs;
    ensure!(
        summary.run_status == "succeeded" && !summary.agent_file.is_empty(),
        "the agent did not do its work"
    );
    ensure!(
        summary.build_exit_code == 0 && summary.page_shown,
        "the page that was written is not shown"
    );
    ensure!(
        proofs.environment.starts_with("miosa-tok-"),
        "the variable holds no placeholder"
    );
    ensure!(
        !proofs.real_value_inside && !proofs.list_shows_a_value,
        "a real value is where it must not be"
    );
    ensure!(
        proofs.provider_saw_real_token != Some(false),
        "the provider did not see the real token"
    );
    ensure!(
        proofs
            .refusals
            .iter()
            .all(|refusal| refusal.code.starts_with("EGRESS_")),
        "a misuse was not refused"
    );
    ensure!(
        proofs.attacker_bytes.is_none_or(|bytes| bytes == 0),
        "bytes reached the attacker"
    );
    ensure!(
        proofs.token_code == "MANAGED_PROVIDER_BINDING_ONLY",
        "a managed token was not refused"
    );
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the demo's output is its purpose")]
fn print(line: &str) {
    println!("{line}");
}
