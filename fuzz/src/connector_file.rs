//! A connector file: what the server takes, the broker takes too, and it leads nowhere but where it
//! says. Used by the fuzz target and by the test that replays its corpus (`crates/miosa`).

use miosa_api::broker::{BindingPolicy, PolicyMode, SandboxPolicy, Sealed};
use miosa_egress::policy::CompiledPolicy;
use miosa_server::connectors::definitions;

/// Checks one file.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(definition) = definitions::parse(text) else {
        return;
    };
    let placeholder = miosa_vault::placeholder::mint(Some(&definition.placeholder_prefix));
    assert!(
        placeholder.starts_with(&definition.placeholder_prefix),
        "another shape"
    );
    let source = SandboxPolicy {
        generation: 1,
        tenant_id: "t".into(),
        mode: PolicyMode::Enforce,
        mode_policy_id: None,
        rules: Vec::new(),
        bindings: vec![BindingPolicy {
            binding_id: "b".into(),
            connector: definition.key().into(),
            env_name: definition.default_env_name.clone(),
            placeholder,
            endpoints: definition.endpoints.clone(),
            places: definition.places.clone(),
            mcp: None,
            budget: None,
            sealed: Sealed {
                secret_id: "s".into(),
                owner: "t".into(),
                version: 1,
                managed: definition.managed,
                ciphertext: String::new(),
            },
        }],
    };
    let compiled = CompiledPolicy::compile(&source, "s");
    assert!(
        compiled.is_ok(),
        "the server takes it and the broker does not: {compiled:?}"
    );
    for endpoint in &definition.endpoints {
        assert!(
            !endpoint.host.contains('*') && endpoint.port != 0,
            "an endpoint that is many"
        );
    }
}
