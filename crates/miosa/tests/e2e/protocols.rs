//! Real clients and servers of protocols above HTTP, through the broker.

use std::sync::Arc;

use anyhow::{Result, ensure};

use crate::support::Stage;

const FOLDER: &str = "/opt/protocols";
const CLIENTS: [(&str, &str); 3] = [
    ("grpc_client.py", include_str!("protocols/grpc_client.py")),
    (
        "websocket_client.py",
        include_str!("protocols/websocket_client.py"),
    ),
    (
        "websocket_client.mjs",
        include_str!("protocols/websocket_client.mjs"),
    ),
];

pub async fn real_grpc_and_websocket_clients_are_served(stage: Arc<Stage>) -> Result<()> {
    let id = stage.sandbox(&[]).await?;
    stage
        .connector("github", "protocols", &stage.protocols.token)
        .await?;
    stage
        .attach(&id, "github/protocols", "GITHUB_TOKEN")
        .await?;
    let libraries = stage.protocols.libraries.display().to_string();
    let sync = [
        "sandbox",
        "sync",
        &libraries,
        FOLDER,
        "--sandbox",
        &id,
        "--json",
    ];
    stage.world.json(&sync).await?;
    for (name, text) in CLIENTS {
        let local = stage.world.folder().join(name);
        fs_err::write(&local, text)?;
        let (local, inside) = (local.display().to_string(), format!("{FOLDER}/{name}"));
        let write = ["sandbox", "write-file", &id, &inside, &local, "--json"];
        stage.world.json(&write).await?;
        let program = if inside.ends_with(".py") {
            "python3"
        } else {
            "node"
        };
        let call =
            format!("cd {FOLDER} && PYTHONPATH={FOLDER}/inside timeout 90 {program} {inside} 2>&1");
        let said = stage.shell(&id, &call).await?;
        ensure!(said == "fine", "{name}: {said}");
        ensure!(
            !said.contains(&stage.protocols.token),
            "{name} has the token"
        );
    }
    Ok(())
}
