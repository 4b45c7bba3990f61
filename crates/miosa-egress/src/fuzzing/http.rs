//! HTTP as it comes in and as it goes out: whatever is sent, it has one reading, and it is the one that
//! was judged.

use http::request::Parts;

use super::exchange::{self, Outcome, Sent};
use super::strict::Plain;
use super::{http2, world};

/// The bytes of an HTTP/1 connection: heads, bodies, chunks.
pub fn http1_head(data: &[u8]) {
    let to = world::https(host_of(data));
    let whole = exchange::run(&to, data, usize::MAX);
    whole.iter().for_each(check);
    let cut = exchange::run(&to, data, 1 + data.len() % 5);
    cut.iter().for_each(check);
    assert_eq!(summary(&whole), summary(&cut), "the cuts decide");
}

/// The frames of an HTTP/2 connection, as [`http2::connection`] reads them from the data.
pub fn http2_frames(data: &[u8]) {
    let bytes = http2::connection(data);
    let to = world::https(host_of(&bytes));
    exchange::run(&to, &bytes, usize::MAX)
        .iter()
        .for_each(check);
}

/// The host whose connection this is: both kinds are to be tried, and the bytes decide.
pub fn host_of(data: &[u8]) -> &'static str {
    let bound = world::BOUND.as_bytes();
    let is_bound = data
        .windows(bound.len())
        .any(|window| window.eq_ignore_ascii_case(bound));
    if is_bound { world::BOUND } else { world::FREE }
}

fn summary(outcomes: &[Outcome]) -> Vec<String> {
    let one = |outcome: &Outcome| match outcome {
        Outcome::Refused(code) => code.as_str().to_owned(),
        Outcome::Sent(sent) => format!("{:?}", sent.provider.wire().requests),
    };
    outcomes.iter().map(one).collect()
}

/// Everything that must be true of a request that was sent.
pub fn check(outcome: &Outcome) {
    let Outcome::Sent(sent) = outcome else { return };
    let wire = sent.provider.wire();
    let text = || String::from_utf8_lossy(&wire.bytes).into_owned();
    assert_eq!(wire.wrong, None, "not plain HTTP: {}", text());
    let (body, is_whole) = sent.body.read();
    let [plain] = wire.requests.as_slice() else {
        assert!(
            wire.requests.is_empty(),
            "more than one request: {}",
            text()
        );
        assert!(
            !is_whole || wire.bytes.is_empty(),
            "a whole request was cut: {}",
            text()
        );
        return;
    };
    // Of a body that is as long as it says, nothing is missing, although the caller did not say that it ended.
    let declared = sent.head.headers.get(http::header::CONTENT_LENGTH);
    let is_all = declared.is_some_and(|length| length == body.len().to_string().as_str());
    assert!(
        is_whole || is_all,
        "half a body became a whole one: {}",
        text()
    );
    assert!(wire.rest().is_empty(), "something follows: {}", text());
    assert_eq!(plain.body, body, "another body: {}", text());
    check_head(plain, &sent.head);
    check_credential(plain, sent);
}

fn check_head(plain: &Plain, head: &Parts) {
    const OURS: &[&str] = &["host", "content-length", "transfer-encoding"];
    assert_eq!(plain.method, head.method.as_str(), "another method");
    let target = head
        .uri
        .path_and_query()
        .map_or("", |target| target.as_str());
    assert_eq!(plain.target, target.as_bytes(), "another target");
    let is_theirs = |name: &str| !OURS.contains(&name);
    let expected = head
        .headers
        .iter()
        .filter(|(name, _)| is_theirs(name.as_str()));
    let expected: Vec<_> = expected
        .map(|(name, value)| (name.as_str(), value.as_bytes().trim_ascii()))
        .collect();
    let seen = plain.headers.iter().filter(|(name, _)| is_theirs(name));
    let seen: Vec<_> = seen
        .map(|(name, value)| (name.as_str(), value.as_slice()))
        .collect();
    assert_eq!(seen, expected, "other fields");
    for name in ["te", "trailer", "keep-alive", "proxy-connection", "expect"] {
        let is_harmless = |value: &[u8]| name == "te" && value == b"trailers";
        assert!(plain.all(name).all(is_harmless), "{name} was passed on");
    }
}

fn check_credential(plain: &Plain, sent: &Sent) {
    let host = plain.all("host").next().unwrap_or_default();
    let target = String::from_utf8_lossy(&plain.target);
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let bound = world::BOUND.as_bytes();
    let mut fields = plain.headers.iter();
    let holds_token = |text: &[u8]| crate::placeholder::is_in(text);
    assert!(
        !holds_token(&plain.target),
        "a placeholder left in the target"
    );
    assert!(
        !fields.any(|(_, value)| holds_token(value)),
        "a placeholder left in a field"
    );
    if host == bound {
        assert!(
            is_plain_path(path),
            "a path with two readings to a bound host: {path}"
        );
    } else {
        assert_eq!(host, world::FREE.as_bytes(), "another host");
    }
    let Some(binding) = sent.binding.as_deref() else {
        return;
    };
    let method = plain.method.as_str();
    let authorization = plain.all("authorization").collect::<Vec<_>>();
    let is_right = match binding {
        "b0" => {
            let value = format!("Bearer {}", world::CANARY);
            path == "/mcp"
                && ["POST", "GET"].contains(&method)
                && authorization == [value.as_bytes()]
        }
        "b1" => {
            let is_below = path == "/git" || path.starts_with("/git/");
            let is_basic = authorization.len() == 1 && authorization[0].starts_with(b"Basic ");
            is_below && ["POST", "GET"].contains(&method) && is_basic
        }
        _ => path == "/v1/items" && method == "GET" && query.contains("key=canary%2F"),
    };
    assert!(
        host == bound && is_right,
        "a credential outside of {binding}"
    );
}

/// Written without the code under test.
fn is_plain_path(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let hidden = [
        "//", "/../", "/./", ";", "\\", "%2e", "%2f", "%5c", "%25", "%3b", "%00", "%0",
    ];
    let is_dotted = lower.ends_with("/.") || lower.ends_with("/..");
    path.starts_with('/')
        && path.is_ascii()
        && !is_dotted
        && !hidden.iter().any(|h| lower.contains(h))
}
