//! One sandbox's policy, whose placeholders are the same in every run, so that corpora hold them.

use std::sync::{Arc, LazyLock};

use miosa_api::broker::{BindingPolicy, Endpoint, Place, PolicyMode, SandboxPolicy, Sealed};
use miosa_vault::SecretValue;

use crate::mcp::Cleared;
use crate::opened::Opened;
use crate::policy::{CompiledPolicy, Destination, Host};
use crate::refusal::Refusal;
use crate::request::Received;
use crate::substitute::Substituted;

/// The host whose endpoints take credentials.
pub const BOUND: &str = "mcp.test";
/// A host without any.
pub const FREE: &str = "free.test";
/// The value of every credential.
pub const CANARY: &str = "canary/+0123456789\"\\&<abcdef";
/// Placeholders of the bindings, each with a right checksum.
pub const PLACEHOLDERS: [&str; 3] = [
    "miosa-tok-000102030405060708090a0b0c0d0e0f10111213f343faa7",
    "miosa-tok-101112131415161718191a1b1c1d1e1f202122231f1d7d72",
    "miosa-tok-202122232425262728292a2b2c2d2e2f30313233bc8dfc7f",
];

fn binding(index: usize, methods: &[&str], path: &str, place: Place) -> BindingPolicy {
    BindingPolicy {
        binding_id: format!("b{index}"),
        connector: format!("test/c{index}"),
        env_name: format!("TOKEN_{index}"),
        placeholder: PLACEHOLDERS[index].into(),
        endpoints: vec![Endpoint {
            host: BOUND.into(),
            port: 443,
            methods: methods.iter().map(ToString::to_string).collect(),
            path: path.into(),
        }],
        places: vec![place],
        mcp: None,
        budget: None,
        sealed: Sealed {
            secret_id: format!("s{index}"),
            owner: "t".into(),
            version: 1,
            managed: false,
            ciphertext: String::new(),
        },
    }
}

/// One binding of each kind, on [`BOUND`].
pub fn policy() -> Arc<CompiledPolicy> {
    static POLICY: LazyLock<Arc<CompiledPolicy>> = LazyLock::new(|| {
        let bearer = Place::Header {
            name: "authorization".into(),
            prefix: "Bearer ".into(),
        };
        let query = Place::Query { name: "key".into() };
        let source = SandboxPolicy {
            generation: 1,
            tenant_id: "t".into(),
            mode: PolicyMode::AuditOnly,
            mode_policy_id: None,
            rules: Vec::new(),
            bindings: vec![
                binding(0, &["POST", "GET"], "/mcp", bearer),
                binding(1, &["GET", "POST"], "/git/**", Place::Basic),
                binding(2, &["GET"], "/v1/items", query),
            ],
        };
        CompiledPolicy::compile(&source, "s").expect("the policy above is in order")
    });
    Arc::clone(&POLICY)
}

/// `https`, the usual port.
pub fn https(host: &str) -> Destination {
    Destination {
        host: Host::parse(host).expect("a host"),
        port: 443,
        tls: true,
    }
}

/// All stages before sending.
pub fn judge(
    policy: &Arc<CompiledPolicy>,
    to: &Destination,
    parts: http::request::Parts,
) -> Result<Substituted, Refusal> {
    let authorized = policy.authorize(Received::new(to, parts)?)?;
    let cleared = Cleared::unread(authorized).ok().expect("no rules on MCP");
    cleared.substitute(&|binding| {
        let value = SecretValue::parse(CANARY).expect("the canary is a secret");
        Ok(Arc::new(Opened::of_binding(value, binding)))
    })
}
