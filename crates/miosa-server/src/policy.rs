//! What the broker is told of a sandbox: mode, rules and bindings, as one immutable generation.

use miosa_api::broker::{Effect, PolicyApplied, PolicyMode, Rule, SandboxPolicy};
use miosa_api::sandbox::{NetworkPolicy, SandboxState};

use crate::store::sandboxes::{self, SandboxRow};
use crate::{ApiError, App, connectors};

/// The policy of a sandbox as the database has it now, under a new generation.
pub async fn build(app: &App, sandbox_id: &str) -> Result<SandboxPolicy, ApiError> {
    let generation = sandboxes::next_policy_generation(&app.pool, sandbox_id).await?;
    let row = sandboxes::get_any(&app.pool, sandbox_id)
        .await?
        .ok_or_else(|| ApiError::not_found("sandbox", sandbox_id))?;
    let bindings = connectors::binding_policies(app, sandbox_id).await?;
    let (mode, rules) = rules(row.network_policy().as_ref(), &row);
    Ok(SandboxPolicy {
        generation: u64::try_from(generation).unwrap_or(0),
        tenant_id: row.tenant_id,
        mode,
        rules,
        bindings,
    })
}

/// Puts the policy in force as the database has it; returns once it is.
pub async fn push(app: &App, sandbox_id: &str) -> Result<PolicyApplied, ApiError> {
    let policy = build(app, sandbox_id).await?;
    app.broker.put(sandbox_id, &policy).await
}

/// Tells a broker that just started about every sandbox with a network.
pub(crate) async fn push_all(app: &App) -> Result<(), ApiError> {
    for row in sandboxes::live(&app.pool).await? {
        if matches!(row.state(), SandboxState::Error | SandboxState::Stopped) {
            continue;
        }
        let policy = build(app, &row.id).await?;
        app.broker.put_now(&row.id, &policy).await?;
    }
    Ok(())
}

fn rules(network: Option<&NetworkPolicy>, row: &SandboxRow) -> (PolicyMode, Vec<Rule>) {
    let Some(network) = network else {
        return (PolicyMode::AuditOnly, Vec::new());
    };
    let mut rules = Vec::new();
    for (n, host) in network
        .allowed_domains
        .iter()
        .chain(&network.allowed_cidrs)
        .enumerate()
    {
        rules.push(allow(
            format!("network_policy:allow:{n}"),
            host.to_ascii_lowercase(),
        ));
    }
    for (n, range) in network.denied_cidrs.iter().enumerate() {
        rules.push(Rule {
            effect: Effect::Deny,
            ..allow(format!("network_policy:deny:{n}"), range.clone())
        });
    }
    if !denies_all(network) {
        return (PolicyMode::AuditOnly, rules);
    }
    let hosts = row.image().hosts.into_iter().enumerate();
    rules.extend(hosts.map(|(n, host)| allow(format!("template:{n}"), host)));
    (PolicyMode::Enforce, rules)
}

/// Everything but a plain `allow-all` refuses what no rule allows.
fn denies_all(network: &NetworkPolicy) -> bool {
    !matches!(network.mode.replace('_', "-").as_str(), "allow-all" | "")
}

fn allow(id: String, host: String) -> Rule {
    Rule {
        id,
        host,
        effect: Effect::Allow,
        methods: Vec::new(),
        path: None,
    }
}

#[cfg(test)]
mod tests {
    use miosa_api::broker::{Effect, PolicyMode};
    use miosa_api::sandbox::NetworkPolicy;

    use super::rules;
    use crate::store::sandboxes::SandboxRow;

    fn network(mode: &str) -> NetworkPolicy {
        NetworkPolicy {
            mode: mode.to_owned(),
            allowed_domains: vec!["API.example.com".to_owned()],
            allowed_cidrs: vec![],
            denied_cidrs: vec!["10.0.0.0/8".to_owned()],
        }
    }

    #[test]
    fn deny_all_enforces_and_lets_the_templates_hosts_pass() {
        let row = SandboxRow {
            image: r#"{"image_id":"","layers":[],"env":{},"workdir":"/w","hosts":["registry.npmjs.org"],"start_cmd":null,
                "preview_port":null,"default_cpu":1,"default_memory_mb":1,"default_disk_mb":1}"#.to_owned(),
            ..SandboxRow::default()
        };
        let (mode, rules) = rules(Some(&network("deny-all")), &row);
        assert_eq!(mode, PolicyMode::Enforce);
        let hosts: Vec<_> = rules.iter().map(|r| (r.host.as_str(), r.effect)).collect();
        assert_eq!(
            hosts,
            [
                ("api.example.com", Effect::Allow),
                ("10.0.0.0/8", Effect::Deny),
                ("registry.npmjs.org", Effect::Allow)
            ]
        );
    }

    #[test]
    fn a_mode_nobody_knows_refuses_rather_than_allows() {
        let row = SandboxRow::default();
        assert_eq!(
            rules(Some(&network("alow-all")), &row).0,
            PolicyMode::Enforce
        );
        assert_eq!(
            rules(Some(&network("allow-all")), &row).0,
            PolicyMode::AuditOnly
        );
        assert_eq!(rules(None, &row).0, PolicyMode::AuditOnly);
    }
}
