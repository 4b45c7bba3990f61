use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::*;

const HOSTS: &[&str] = &[
    "mcp.test",
    "model.test",
    "git.test",
    "query.test",
    "free.test",
    "a.free.test",
];
const METHODS: &[&str] = &["GET", "POST", "DELETE", "OPTIONS", "get"];
const PATHS: &[&str] = &[
    "/mcp",
    "/v1/messages",
    "/v1/items",
    "/",
    "/admin",
    "/mcpx",
    "/mcp/..",
    "/%6dcp",
    "/.well-known/x",
    "/a//b",
];
const NAMES: &[&str] = &[
    "authorization",
    "x-api-key",
    "cookie",
    "x-a",
    "proxy-authorization",
    "connection",
];

fn any_value() -> impl Strategy<Value = String> {
    let placed = (0..4usize, 0..7usize).prop_map(|(index, how)| {
        use base64::Engine;
        let token = &PLACEHOLDERS[index];
        let basic = |text: String| {
            format!(
                "Basic {}",
                base64::engine::general_purpose::STANDARD.encode(text)
            )
        };
        match how {
            0 => token.clone(),
            1 => format!("Bearer {token}"),
            2 => basic(format!("x:{token}")),
            3 => basic(format!("{token}:x")),
            4 => format!("bearer {token}"),
            5 => format!("{token}, x"),
            _ => token.to_uppercase(),
        }
    });
    prop_oneof![4 => placed, 1 => "[ -~]{0,20}", 1 => Just("authorization, x-api-key".to_owned())]
}

#[derive(Debug, Clone)]
struct Case {
    to: Destination,
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, String)>,
}

impl Case {
    fn head(&self) -> Parts {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        head(&self.to, self.method, &self.target, &headers)
    }
}

/// Requests that are right, or wrong in one thing.
fn near_case() -> impl Strategy<Value = Case> {
    let right = (0..5usize).prop_map(|which| {
        use base64::Engine;
        let basic =
            base64::engine::general_purpose::STANDARD.encode(format!("x:{}", PLACEHOLDERS[2]));
        let query = format!("/v1/items?key={}", PLACEHOLDERS[3]);
        let (host, method, target, header) = match which {
            0 => (
                "mcp.test",
                "POST",
                "/mcp",
                Some(("authorization", bearer(0))),
            ),
            1 => (
                "model.test",
                "POST",
                "/v1/messages",
                Some(("x-api-key", PLACEHOLDERS[1].clone())),
            ),
            2 => (
                "model.test",
                "POST",
                "/v1/messages",
                Some(("authorization", bearer(1))),
            ),
            3 => (
                "git.test",
                "GET",
                "/a",
                Some(("authorization", format!("Basic {basic}"))),
            ),
            _ => ("query.test", "GET", query.as_str(), None),
        };
        Case {
            to: https(host),
            method,
            target: target.into(),
            headers: header.into_iter().collect(),
        }
    });
    (right, far_case(), 0..8usize).prop_map(|(right, far, what)| match what {
        0 => Case {
            to: far.to,
            ..right
        },
        1 => Case {
            method: far.method,
            ..right
        },
        2 => Case {
            target: far.target,
            ..right
        },
        3 => Case {
            headers: far.headers,
            ..right
        },
        4 | 5 => Case {
            headers: [right.headers, far.headers].concat(),
            ..right
        },
        _ => right,
    })
}

fn any_case() -> impl Strategy<Value = Case> {
    prop_oneof![near_case(), far_case()]
}

prop_compose! {
    /// Requests made of random parts.
    fn far_case()(
        host in prop::sample::select(HOSTS),
        port in prop_oneof![6 => Just(0u16), 1 => Just(8443)],
        tls in prop_oneof![4 => Just(true), 1 => Just(false)],
        method in prop::sample::select(METHODS),
        path in prop::sample::select(PATHS),
        query in prop_oneof![
            3 => Just(None),
            2 => (0..4usize).prop_map(|index| Some(format!("key={}", PLACEHOLDERS[index]))),
            1 => (0..4usize).prop_map(|index| Some(format!("key=1&key={}", PLACEHOLDERS[index]))),
            1 => "[a-z=&%0-9]{0,12}".prop_map(Some),
        ],
        headers in prop::collection::vec((prop::sample::select(NAMES), any_value()), 0..3),
    ) -> Case {
        let port = if port == 0 { Destination::default_port(tls) } else { port };
        let to = Destination { host: Host::parse(host).unwrap(), port, tls };
        let target = query.map_or(path.to_owned(), |query| format!("{path}?{query}"));
        Case { to, method, target, headers }
    }
}

fn any_rule(effect: impl Strategy<Value = Effect>) -> impl Strategy<Value = Rule> {
    let hosts = prop::sample::select(
        ["mcp.test", "free.test", "*.test", "*.free.test", "git.test"].as_slice(),
    );
    let methods = prop::sample::subsequence(vec!["GET", "POST"], 0..=2);
    let paths = prop::sample::select([None, Some("/mcp"), Some("/**"), Some("/v1/*")].as_slice());
    (hosts, effect, methods, paths)
        .prop_map(|(host, effect, methods, path)| rule(host, effect, &methods, path))
}

fn any_effect() -> impl Strategy<Value = Effect> {
    prop::sample::select([Effect::Allow, Effect::Deny].as_slice())
}

/// The four bindings, some of them left out, with random rules and mode.
fn any_policy() -> impl Strategy<Value = SandboxPolicy> {
    let rules = prop::collection::vec(any_rule(any_effect()), 0..3);
    let kept = prop::sample::subsequence(vec![0usize, 1, 2, 3], 1..=4);
    (rules, kept, any::<bool>()).prop_map(|(rules, kept, enforce)| {
        let all = source();
        let bindings = kept
            .iter()
            .map(|index| all.bindings[*index].clone())
            .collect();
        let mode = if enforce {
            PolicyMode::Enforce
        } else {
            PolicyMode::AuditOnly
        };
        SandboxPolicy {
            mode,
            rules,
            bindings,
            ..all
        }
    })
}

/// The oracle, written without the code under test: what exactly may carry the canary, and where.
fn may_carry(index: &str, case: &Case, sent: &Parts) -> bool {
    use base64::Engine;
    let path = case.target.split('?').next().unwrap_or_default();
    let host = case.to.host.to_string();
    let (endpoint, place) = match index {
        "b0" => (
            host == "mcp.test" && ["POST", "GET"].contains(&case.method) && path == "/mcp",
            sent.headers
                .get("authorization")
                .is_some_and(|v| v == format!("Bearer {CANARY}").as_str()),
        ),
        "b1" => (
            host == "model.test"
                && case.method == "POST"
                && (path == "/v1" || path.starts_with("/v1/")),
            sent.headers
                .get("x-api-key")
                .is_some_and(|value| value == CANARY)
                != sent
                    .headers
                    .get("authorization")
                    .is_some_and(|v| v == format!("Bearer {CANARY}").as_str()),
        ),
        "b2" => (
            host == "git.test" && ["POST", "GET"].contains(&case.method),
            sent.headers.get("authorization").is_some_and(|value| {
                let encoded = value
                    .to_str()
                    .unwrap()
                    .strip_prefix("Basic ")
                    .unwrap_or_default();
                let plain = base64::engine::general_purpose::STANDARD
                    .decode(encoded)
                    .unwrap_or_default();
                let plain = String::from_utf8(plain).unwrap_or_default();
                plain == format!("x:{CANARY}") || plain == format!("{CANARY}:x")
            }),
        ),
        _ => (
            host == "query.test" && case.method == "GET" && path == "/v1/items",
            sent.uri.query() == Some("key=canary%2F%2B0123456789%22%5C%26%3Cabcdef"),
        ),
    };
    let forms = ["canary", "Y2FuYXJ5", "NhbmFyeS", "jYW5hcn", "canary%2F"];
    let text = format!(
        "{} {}",
        sent.uri,
        sent.headers
            .values()
            .map(|v| String::from_utf8_lossy(v.as_bytes()))
            .collect::<Vec<_>>()
            .join("\n")
    );
    let holders = text
        .split_whitespace()
        .filter(|word| forms.iter().any(|form| word.contains(form)))
        .count();
    case.to.tls && case.to.port == 443 && endpoint && place && holders == 1
}

/// As many as in every run of the tests, or as `PROPTEST_CASES` says.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").map_or(4096, |text| text.parse().expect("a number of cases"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn row_192_a_credential_means_all_of_one_binding(source in any_policy(), case in any_case()) {
        let policy = CompiledPolicy::compile(&source, "s").unwrap();
        if let Ok(substituted) = run(&policy, &case.to, case.head()) {
            let binding = substituted.binding().map(|binding| binding.binding_id.clone());
            let sent = substituted.into_parts();
            match binding {
                Some(id) => {
                    prop_assert!(source.bindings.iter().any(|binding| binding.binding_id == id));
                    prop_assert!(may_carry(&id, &case, &sent), "{:?}", case);
                }
                None => {
                    let mut before = case.head();
                    if policy.is_bound_host(&case.to.host) {
                        // Its answer is searched all the same.
                        before.headers.insert("accept-encoding", http::HeaderValue::from_static("identity"));
                    }
                    prop_assert_eq!(&sent.uri, &before.uri);
                    prop_assert_eq!(&sent.headers, &before.headers);
                    let text = format!("{:?}", case.head()).to_lowercase();
                    prop_assert!(!text.contains("miosa-tok-"), "{:?}", case);
                }
            }
        }
    }

    #[test]
    fn adding_a_deny_never_allows_more(
        source in any_policy(), case in any_case(), deny in any_rule(Just(Effect::Deny)), at in 0usize..4,
    ) {
        let before = CompiledPolicy::compile(&source, "s").unwrap();
        let mut rules = source.rules.clone();
        rules.insert(at.min(rules.len()), deny);
        let after = CompiledPolicy::compile(&SandboxPolicy { rules, ..source }, "s").unwrap();
        if run(&before, &case.to, case.head()).is_err() {
            prop_assert!(run(&after, &case.to, case.head()).is_err());
        }
        use crate::policy::Connect;
        if matches!(before.decide_connect(&case.to), Connect::Deny(_)) {
            prop_assert!(matches!(after.decide_connect(&case.to), Connect::Deny(_)));
        }
    }

    #[test]
    fn whatever_comes_is_judged_without_a_panic(
        target in "/[!-~]{0,40}", name in "[a-z-]{1,20}", value in prop::collection::vec(0x20u8..=0xfe, 0..60),
    ) {
        let request = Request::builder().uri(target).header("host", "git.test").header(name, value);
        if let Ok(request) = request.body(()) {
            drop(run(&policy(), &https("git.test"), request.into_parts().0));
        }
    }

    #[test]
    fn hosts_are_read_once(text in "\\PC{0,30}") {
        if let Some(host) = Host::parse(&text) {
            prop_assert_eq!(Host::parse(&host.to_string()), Some(host));
        }
    }
}

/// Of the cases that the property above is about, enough are about a credential: of each binding, and
/// in policies where some bindings are missing.
#[test]
fn row_192_is_not_vacuous() {
    const CASES: u32 = 20_000;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::<_, u32>::new();
    for _ in 0..CASES {
        let source = any_policy().new_tree(&mut runner).unwrap().current();
        let case = any_case().new_tree(&mut runner).unwrap().current();
        let policy = CompiledPolicy::compile(&source, "s").unwrap();
        let what = match run(&policy, &case.to, case.head()) {
            Ok(sent) => sent
                .binding()
                .map_or("none".into(), |b| b.binding_id.clone()),
            Err(_) => "refused".to_owned(),
        };
        *seen.entry(what).or_default() += 1;
    }
    eprintln!("of {CASES} cases: {seen:?}");
    let with: Vec<u32> = ["b0", "b1", "b2", "b3"]
        .map(|id| seen.get(id).copied().unwrap_or(0))
        .into();
    assert!(with.iter().all(|count| count * 200 > CASES), "{seen:?}");
    assert!(with.iter().sum::<u32>() * 20 > CASES, "{seen:?}");
    assert!(
        seen["none"] * 50 > CASES && seen["refused"] * 10 > CASES,
        "{seen:?}"
    );
}
