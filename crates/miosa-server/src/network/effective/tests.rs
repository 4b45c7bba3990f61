use miosa_api::broker::{Effect, PolicyMode};

use super::compose;
use crate::store::network_policies::PolicyRow;
use crate::store::network_rules::RuleRow;
use crate::store::sandboxes::SandboxRow;

fn sandbox(network: &str) -> SandboxRow {
    SandboxRow {
        id: "s".to_owned(),
        workspace_id: Some("w".to_owned()),
        template_id: "base".to_owned(),
        metadata: format!(r#"{{"network_policy":{network}}}"#),
        image: r#"{"image_id":"","layers":[],"env":{},"workdir":"/w","hosts":["registry.npmjs.org"],"start_cmd":null,
            "preview_port":null,"default_cpu":1,"default_memory_mb":1,"default_disk_mb":1}"#.to_owned(),
        ..SandboxRow::default()
    }
}

fn policy(kind: &str, id: &str, mode: &str, default_effect: &str) -> PolicyRow {
    PolicyRow {
        id: format!("{kind} {mode} {default_effect}"),
        tenant_id: "t".to_owned(),
        resource_type: kind.to_owned(),
        resource_id: id.to_owned(),
        name: String::new(),
        description: None,
        mode: mode.to_owned(),
        default_effect: default_effect.to_owned(),
        created_at: 0,
        updated_at: 0,
    }
}

fn tenant(mode: &str) -> PolicyRow {
    policy("tenant", "", mode, "deny")
}

fn own(mode: &str) -> PolicyRow {
    policy("sandbox", "s", mode, "deny")
}

#[test]
fn the_strictest_mode_holds_unless_the_sandbox_has_its_own() {
    let (none, all, deny) = ("null", r#"{"mode":"allow-all"}"#, r#"{"mode":"deny-all"}"#);
    let workspace = |mode| policy("workspace", "w", mode, "deny");
    let elsewhere = policy("workspace", "other", "enforce", "deny");
    let lenient = policy("sandbox", "s", "enforce", "allow");
    let foreign = policy("sandbox", "other", "enforce", "deny");
    for (network, policies, expected, set_by) in [
        (all, vec![], PolicyMode::AuditOnly, "default"),
        (deny, vec![], PolicyMode::Enforce, "metadata.network_policy"),
        (
            r#"{"mode":"alow-all"}"#,
            vec![],
            PolicyMode::Enforce,
            "metadata.network_policy",
        ),
        ("7", vec![], PolicyMode::Enforce, "metadata.network_policy"),
        (
            all,
            vec![tenant("enforce")],
            PolicyMode::Enforce,
            "tenant enforce deny",
        ),
        (
            all,
            vec![tenant("audit_only"), workspace("enforce")],
            PolicyMode::Enforce,
            "workspace enforce deny",
        ),
        (
            all,
            vec![tenant("enforce"), workspace("audit_only")],
            PolicyMode::Enforce,
            "tenant enforce deny",
        ),
        (
            all,
            vec![tenant("enforce"), tenant("audit_only")],
            PolicyMode::Enforce,
            "tenant enforce deny",
        ),
        (
            all,
            vec![elsewhere, foreign],
            PolicyMode::AuditOnly,
            "default",
        ),
        (
            deny,
            vec![own("audit_only"), tenant("enforce")],
            PolicyMode::AuditOnly,
            "sandbox audit_only deny",
        ),
        (
            all,
            vec![own("audit_only"), own("enforce")],
            PolicyMode::Enforce,
            "sandbox enforce deny",
        ),
        (
            deny,
            vec![lenient],
            PolicyMode::AuditOnly,
            "sandbox enforce allow",
        ),
        (
            all,
            vec![own("a word of tomorrow")],
            PolicyMode::Enforce,
            "sandbox a word of tomorrow deny",
        ),
    ] {
        let effective = compose(&sandbox(network), &policies, &[]);
        let found = (effective.mode, effective.set_by.as_str());
        assert_eq!(found, (expected, set_by), "{network} {policies:?}");
    }
    let row = SandboxRow {
        metadata: "{}".to_owned(),
        ..sandbox(none)
    };
    assert_eq!(compose(&row, &[], &[]).mode, PolicyMode::AuditOnly);
}

#[test]
fn rules_of_all_levels_hold_and_the_template_brings_its_hosts_when_they_are_needed() {
    let rule = RuleRow {
        id: "r".to_owned(),
        tenant_id: "t".to_owned(),
        policy_id: None,
        resource_type: "tenant".to_owned(),
        resource_id: String::new(),
        host: "b.example".to_owned(),
        effect: "deny".to_owned(),
        methods: r#"["GET"]"#.to_owned(),
        path_glob: Some("/x".to_owned()),
        note: None,
        created_at: 0,
    };
    let network = r#"{"mode":"deny-all","allowed_domains":["API.example.com"],"denied_cidrs":["10.0.0.0/8"]}"#;
    let effective = compose(&sandbox(network), &[], std::slice::from_ref(&rule));
    let rules = effective.broker_rules();
    let hosts: Vec<_> = rules.iter().map(|r| (r.host.as_str(), r.effect)).collect();
    assert_eq!(
        hosts,
        [
            ("b.example", Effect::Deny),
            ("api.example.com", Effect::Allow),
            ("10.0.0.0/8", Effect::Deny),
            ("registry.npmjs.org", Effect::Allow)
        ]
    );
    assert_eq!(
        (&rules[0].methods[..], rules[0].path.as_deref()),
        (&["GET".to_owned()][..], Some("/x"))
    );
    let observed = compose(&sandbox(r#"{"mode":"allow-all"}"#), &[], &[]);
    assert_eq!(observed.rules, []);
}
