//! The runtimes people use trust the sandbox's own CA with no setting of theirs.

use std::sync::Arc;

use anyhow::{Result, ensure};

use crate::support::{MANAGED, Stage};

/// Each prints the status of `https://api.anthropic.com/`, an intercepted host that answers 200 there.
const CLIENTS: [(&str, &str); 5] = [
    (
        "curl",
        "curl -sS -o /dev/null -w '%{http_code}' https://api.anthropic.com/",
    ),
    (
        "python urllib",
        "python3 -c \"import urllib.request as r; print(r.urlopen('https://api.anthropic.com/').status)\"",
    ),
    (
        "python pip's requests",
        "python3 -c \"from pip._vendor import requests as r; print(r.get('https://api.anthropic.com/').status_code)\"",
    ),
    (
        "node",
        "node -e \"fetch('https://api.anthropic.com/').then(r => console.log(r.status))\"",
    ),
    (
        "openssl",
        "echo | openssl s_client -connect api.anthropic.com:443 -servername api.anthropic.com 2>/dev/null | grep -q 'Verify return code: 0' && echo 200",
    ),
];

pub async fn every_runtime_trusts_the_broker(stage: Arc<Stage>) -> Result<()> {
    let id = stage.sandbox(&[]).await?;
    stage.attach(&id, MANAGED, "REFERO_MCP_TOKEN").await?;
    stage
        .connector("anthropic", "trust", &stage.rig.model_key)
        .await?;
    stage
        .attach(&id, "anthropic/trust", "ANTHROPIC_API_KEY")
        .await?;
    for (client, text) in CLIENTS {
        let status = stage.shell(&id, text).await?;
        ensure!(status == "200", "{client}: {status}");
    }
    let git = stage
        .world
        .exec(&id, "git ls-remote https://api.anthropic.com/x.git 2>&1")
        .await?;
    let said = git["stdout"].as_str().unwrap_or_default();
    ensure!(
        !said.contains("certificate") && !said.contains("SSL"),
        "git: {said}"
    );
    stage.shell(&id, "cd /tmp && npm view is-number@7.0.0 version && python3 -m pip download --no-deps -q -d /tmp/p six==1.16.0").await?;
    Ok(())
}
