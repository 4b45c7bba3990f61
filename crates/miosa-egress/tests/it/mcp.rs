//! Requests to MCP servers under rules, whose bodies are read before anything is sent.

use http::Version;
use miosa_api::mcp::{McpEndpoint, McpPolicy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::tls;
use crate::provider::{Authority, Provider};
use crate::world::{World, audit_only, patiently};

const HOST: &str = "api.example.com";
const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn row_113_a_policy_that_changes_while_a_message_is_read_counts() {
    for is_changed in [false, true] {
        let authority = Authority::new();
        let provider = Provider::start(&authority, HOST).await;
        let world = World::start(&authority, &[(HOST, provider.address)]).await;
        let mut binding = world.binding(HOST, "/v1/echo");
        binding.mcp = Some(McpEndpoint {
            url: format!("https://{HOST}/v1/echo"),
            paths: Vec::new(),
            policies: vec![McpPolicy::default()],
        });
        let sandbox = world.sandbox("s", audit_only(vec![binding])).await;
        let stream = sandbox.connect((sandbox.lookup(HOST), 443).into());
        let mut stream = tls(stream, HOST, sandbox.roots(), Version::HTTP_11)
            .await
            .unwrap();
        let (begin, rest) = BODY.split_at(10);
        let head = format!(
            "POST /v1/echo HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\naccept: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
            sandbox.placeholder(),
            BODY.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // The broker asks for the body: the head was judged.
        let mut seen = vec![0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
        patiently(stream.read_exact(&mut seen)).await.unwrap();
        stream.write_all(begin.as_bytes()).await.unwrap();
        if is_changed {
            let mut policy = sandbox.policy.clone();
            policy.generation += 1;
            policy.bindings.clear();
            world.put("s", &policy).await.unwrap();
        }
        stream.write_all(rest.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let mut answer = Vec::new();
        while !String::from_utf8_lossy(&answer).contains("\r\n\r\n") {
            assert!(patiently(stream.read_buf(&mut answer)).await.unwrap() > 0);
        }
        let answer = String::from_utf8_lossy(&answer);
        let refused =
            answer.starts_with("HTTP/1.1 503") || answer.contains("EGRESS_POLICY_UNAVAILABLE");
        assert_eq!(refused, is_changed, "{answer}");
        assert_eq!(provider.seen().len(), usize::from(!is_changed));
    }
}
