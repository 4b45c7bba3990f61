//! A rule the API takes is a rule the broker compiles, and means there what it was checked for.

use miosa_api::broker::{Effect, PolicyMode, Rule, SandboxPolicy};
use miosa_egress::policy::{CompiledPolicy, Connect, Destination, Host};
use miosa_server::network::rule;

fn compiled(
    host: &str,
    methods: &[String],
    path: Option<&str>,
) -> Option<std::sync::Arc<CompiledPolicy>> {
    let policy = SandboxPolicy {
        generation: 1,
        tenant_id: "t".to_owned(),
        mode: PolicyMode::Enforce,
        mode_policy_id: None,
        rules: vec![Rule {
            id: "r".to_owned(),
            policy_id: None,
            host: host.to_owned(),
            effect: Effect::Allow,
            methods: methods.to_vec(),
            path: path.map(str::to_owned),
        }],
        bindings: Vec::new(),
    };
    CompiledPolicy::compile(&policy, "s").ok()
}

/// Pieces that hosts, good and bad, are made of.
const LABELS: &[&str] = &[
    "",
    "a",
    "A-b",
    "-a",
    "a-",
    "a_b",
    "*",
    "1",
    "0x7f",
    "xn--bcher-kva",
    "ü",
    "a b",
    "a:1",
    "[::1]",
    "é*",
];
const ENDS: &[&str] = &[
    "", ".", ".example", ".1", ".0x1", "/8", "/x", ":443", "..", ".*",
];

#[test]
fn a_rule_the_api_takes_compiles_at_the_broker() {
    let mut taken = 0;
    let addresses = [
        "10.0.0.0/8",
        "192.0.2.1",
        "::1",
        "2001:db8::/32",
        "::ffff:10.0.0.1",
        "10.0.0.0/33",
        "300.1.1.1",
        "10.1.1.1/8",
    ];
    let names = LABELS.iter().flat_map(|a| {
        LABELS
            .iter()
            .flat_map(move |b| ENDS.iter().map(move |c| [a, ".", b, c].concat()))
    });
    let single = LABELS
        .iter()
        .flat_map(|a| ENDS.iter().map(move |c| [*a, *c].concat()));
    for host in names.chain(single).chain(addresses.map(str::to_owned)) {
        let Ok(matter) = rule::check(&host, &[], None) else {
            continue;
        };
        taken += 1;
        let policy = compiled(&matter.host, &[], None);
        let policy =
            policy.unwrap_or_else(|| panic!("the API takes {host:?} as {:?}", matter.host));
        // What it is listed as being about is what it lets pass.
        for asked in [
            "a.example",
            "b.a.example",
            "example",
            "a",
            "10.0.0.1",
            "::1",
            &matter.host,
        ] {
            let Some(to) = Host::parse(asked) else {
                continue;
            };
            let to = Destination {
                host: to,
                port: 443,
                tls: true,
            };
            let passes = policy.decide_connect(&to) == Connect::Tunnel;
            let listed = rule::is_about(&matter.host, &to.host.to_string());
            assert_eq!(passes, listed, "{host:?} {asked}");
        }
    }
    assert!(taken > 100, "{taken}");
}

#[test]
fn methods_and_paths_too() {
    let segments = [
        "", "a", "*", "**", "a*", ".", "..", "a.b", "%2e", "a%20b", "a;b", "a?b", "a b", "é",
        "~:@_-",
    ];
    let mut taken = 0;
    for (first, second) in segments
        .iter()
        .flat_map(|a| segments.iter().map(move |b| (a, b)))
    {
        let path = format!("/{first}/{second}");
        for path in [
            path.as_str(),
            &path[1..],
            &path[..path.len() - second.len() - 1],
        ] {
            let methods = ["get".to_owned(), "X-CUSTOM".to_owned()];
            let Ok(matter) = rule::check("a.example", &methods, Some(path)) else {
                continue;
            };
            taken += 1;
            let policy = compiled(&matter.host, &matter.methods, matter.path.as_deref());
            assert!(policy.is_some(), "the API takes {path:?}");
        }
    }
    assert!(taken > 20, "{taken}");
}
