//! Ordinary programs, which know nothing but their environment.

use miosa_selftest::stand::{ALLOWED, BOUND};

use crate::world::{CANARY, World};

const PYTHON: &str = r#"
import os, urllib.request
request = urllib.request.Request("https://api.refero.design/mcp", headers={
    "Authorization": "Bearer " + os.environ["REFERO_MCP_TOKEN"], "X-Do": "echo"})
print(urllib.request.urlopen(request).read().decode())
"#;

const NODE: &str = r#"
const http = require("http"), tls = require("tls");
const proxy = new URL(process.env.HTTPS_PROXY), host = "api.refero.design";
const ask = http.request({host: proxy.hostname, port: proxy.port, method: "CONNECT", path: host + ":443"});
ask.on("connect", (answer, socket) => {
  if (answer.statusCode !== 200) throw new Error(answer.statusCode);
  const wire = tls.connect({socket, servername: host}, () => wire.write("GET /mcp HTTP/1.1\r\nhost: " + host +
    "\r\nx-do: echo\r\nconnection: close\r\nauthorization: Bearer " + process.env.REFERO_MCP_TOKEN + "\r\n\r\n"));
  wire.pipe(process.stdout);
});
ask.end();
"#;

/// Over the sidecar's socket, where no `HTTPS_PROXY` can lead.
const SIDECAR: &str = r#"
import os, socket, ssl, sys
wire = socket.socket(socket.AF_UNIX)
wire.connect(os.environ["MIOSA_PROXY_SOCKET"])
wire.sendall(b"CONNECT api.refero.design:443 HTTP/1.1\r\nhost: api.refero.design:443\r\n\r\n")
answer = b""
while not answer.endswith(b"\r\n\r\n"):
    answer += wire.recv(1)
assert answer.startswith(b"HTTP/1.1 200 "), answer
wire = ssl.create_default_context().wrap_socket(wire, server_hostname="api.refero.design")
token = sys.argv[1] if len(sys.argv) > 1 else os.environ["REFERO_MCP_TOKEN"]
wire.sendall(("GET /mcp HTTP/1.1\r\nhost: api.refero.design\r\nx-do: echo\r\nconnection: close\r\n"
    "authorization: Bearer " + token + "\r\n\r\n").encode())
while data := wire.recv(4096):
    print(data.decode())
"#;

#[tokio::test(flavor = "multi_thread")]
async fn clients_reach_the_provider_and_never_see_the_value() {
    let world = World::start().await;
    let bearer = world.bearer("agent");
    let curl = [
        "curl",
        "--silent",
        "--show-error",
        "-H",
        &bearer,
        "-H",
        "x-do: echo",
    ];
    let http1 = [&curl[..], &["--http1.1", "https://api.refero.design/mcp"]].concat();
    let http2 = [&curl[..], &["--http2", "https://api.refero.design/mcp"]].concat();
    let node = ["node", "-e", NODE];
    let python = ["/usr/bin/python3", "-c", PYTHON];
    let sidecar = ["/usr/bin/python3", "-c", SIDECAR];
    for (listener, program) in [
        ("agent", &http1[..]),
        ("agent", &http2),
        ("agent", &node),
        ("agent", &python),
        ("sidecar", &sidecar),
    ] {
        let before = world.stand.log.count();
        let text = world.client(listener, program);
        let placeholder = &world.env(listener)["REFERO_MCP_TOKEN"];
        assert!(text.contains(placeholder), "the echo is redacted: {text}");
        let seen = world.seen_since(before);
        assert_eq!(seen.len(), 1, "{program:?}");
        assert_eq!(seen[0].line(), "GET /mcp");
        let expected = format!("Bearer {CANARY}");
        assert_eq!(seen[0].headers("authorization"), [expected.as_str()]);
        assert!(seen[0].headers("proxy-connection").is_empty());
    }
    // What is allowed and not bound goes through unopened, and is verified by the caller itself.
    let text = world.curl(&[&format!("https://{ALLOWED}/x")]);
    assert!(text.contains("\"provider\":\"allowed\""), "{text}");

    let audit = world.finish();
    for part in [
        "\"listener:agent\"",
        "\"listener:sidecar\"",
        "\"swapped\":true",
        "\"transport\":\"tunnel\"",
    ] {
        assert!(audit.contains(part), "{part}: {audit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_is_an_identity_and_outlives_a_restart() {
    let mut world = World::start().await;
    let theirs = world.env("agent")["REFERO_MCP_TOKEN"].clone();
    let before = world.stand.log.count();
    let text = world.client("sidecar", &["/usr/bin/python3", "-c", SIDECAR, &theirs]);
    assert!(text.contains("EGRESS_PLACEHOLDER_UNKNOWN"), "{text}");
    assert!(world.seen_since(before).is_empty());

    let ca = fs_err::read(world.client_file("agent", "ca.pem")).unwrap();
    world.restart();
    assert_eq!(world.env("agent")["REFERO_MCP_TOKEN"], theirs);
    assert_eq!(
        fs_err::read(world.client_file("agent", "ca.pem")).unwrap(),
        ca
    );
    let bearer = world.bearer("agent");
    let text = world.curl(&["-H", &bearer, &format!("https://{BOUND}/mcp")]);
    assert!(text.contains("\"provider\":\"provider\""), "{text}");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_can_read_neither_the_value_nor_the_file_of_placeholders() {
    let world = World::start().await;
    for file in ["value", "opening.key", "clients/agent/placeholders.env"] {
        let text = world.client("agent", &["cat", file]);
        assert!(text.contains("Permission denied"), "{file}: {text}");
    }
    world.finish();
}
