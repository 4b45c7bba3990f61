//! The agent as pid 1, and its end.

use miosa_api::guest::{Health, Shutdown};

use crate::agent::{Agent, exited, shell};

#[tokio::test]
async fn it_answers() {
    let agent = Agent::start();
    let health: Health = agent.get("/v1/health").await.json();
    assert_eq!(health.version, env!("CARGO_PKG_VERSION"));
    assert!(health.now > 1_700_000_000);
}

#[tokio::test]
async fn as_init_it_ends_everything_and_then_itself() {
    let mut agent = Agent::start_as_init();
    let mark = agent.path("mark");
    assert_eq!(
        agent
            .shell("test -d /proc/1 && tr '\\0' ' ' </proc/1/cmdline")
            .await
            .exit,
        exited(0)
    );
    let polite = format!(
        "trap 'echo ended > {}; exit' TERM; echo ready; while :; do sleep 0.01; done",
        mark.display()
    );
    let mut polite = agent.exec(&shell(&polite)).await;
    polite.read_until("ready").await;
    // In a session of its own, and deaf.
    let deaf = "setsid sh -c 'trap \"\" TERM; echo ready; while :; do sleep 1; done' & wait";
    let mut deaf = agent.exec(&shell(deaf)).await;
    deaf.read_until("ready").await;
    let answer = agent
        .post("/v1/shutdown", &Shutdown { grace_ms: 300 })
        .await;
    assert_eq!(answer.status, 204);
    assert_eq!(agent.wait().await.code(), Some(0));
    assert_eq!(std::fs::read_to_string(&mark).expect("written"), "ended\n");
}

#[tokio::test]
async fn an_ordinary_process_ends_what_it_started() {
    let mut agent = Agent::start();
    let start = shell("trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done");
    let mut exec = agent.exec(&start).await;
    exec.read_until("ready").await;
    agent
        .post("/v1/shutdown", &Shutdown { grace_ms: 20_000 })
        .await;
    assert_eq!(exec.outcome().await.exit, exited(5));
    assert_eq!(agent.wait().await.code(), Some(0));
}

#[tokio::test]
async fn what_runs_inside_cannot_read_it() {
    let agent = Agent::start();
    let pid = agent.child.id();
    let mut start = shell(&format!("cat /proc/{pid}/environ"));
    start.user = Some("nobody".into());
    assert_eq!(agent.exec(&start).await.outcome().await.exit, exited(1));
}
