//! Keeps a broker running and knowing everything.
//!
//! The broker is started detached (its own process group) and outlives the server: sandboxes keep
//! their network while the server is replaced. The server holds `GET /v1/session`; when that ends
//! the broker is gone, so a new one is started and every policy pushed again.

use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

use axum::body::Body;
use http::{Request, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{ANSWER_TIMEOUT, Presence};
use crate::{App, policy, unix};

/// Between two looks at a broker that is starting.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long a new broker may take until it answers.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two attempts after a failed start.
const RETRY: Duration = Duration::from_secs(2);

/// Runs until the server ends. The broker stays.
pub async fn supervise(app: App) {
    loop {
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = one_session(&app) => {}
        }
    }
}

async fn one_session(app: &App) {
    let session = match open_or_start(app).await {
        Ok(session) => session,
        Err(why) => {
            tracing::error!(%why, "the egress broker does not run");
            app.broker.presence.send_replace(Presence::Failed(why));
            tokio::time::sleep(RETRY).await;
            return;
        }
    };
    let told = match app.broker.look_for_weakness().await {
        Ok(()) => policy::push_all(app).await,
        Err(error) => Err(error),
    };
    if let Err(error) = told {
        tracing::error!(%error, "policies could not be pushed to the broker");
        tokio::time::sleep(RETRY).await;
        return;
    }
    app.broker.presence.send_replace(Presence::Ready);
    drain(session).await;
    tracing::warn!("the egress broker's session ended");
    app.broker.presence.send_replace(Presence::Starting);
}

async fn open_or_start(app: &App) -> Result<Incoming, String> {
    if let Ok(session) = open(app).await {
        return Ok(session);
    }
    start(app)?;
    let opened = tokio::time::timeout(START_TIMEOUT, async {
        loop {
            if let Ok(session) = open(app).await {
                return session;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    });
    opened
        .await
        .map_err(|_| format!("it did not answer within {START_TIMEOUT:?}"))
}

async fn open(app: &App) -> Result<Incoming, unix::UnixError> {
    let request = Request::get("/v1/session")
        .header(header::HOST, "broker")
        .body(Body::empty())
        .expect("a constant request is well formed");
    let answer = unix::send(&app.broker.socket, request, ANSWER_TIMEOUT).await?;
    if answer.status().is_success() {
        Ok(answer.into_body())
    } else {
        Err(unix::UnixError::Body)
    }
}

fn start(app: &App) -> Result<(), String> {
    let folder = app.config.data_dir.join("log");
    fs_err::create_dir_all(&folder).map_err(|e| e.to_string())?;
    let log = fs_err::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("egress.log"))
        .map_err(|e| e.to_string())?
        .into_parts()
        .0;
    let errors = log.try_clone().map_err(|e| e.to_string())?;
    let mut child = std::process::Command::new(&app.deps.program)
        .arg("egress")
        .arg("--config")
        .arg(&app.deps.config_path)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .map_err(|e| format!("{} egress: {e}", app.deps.program.display()))?;
    tracing::info!(pid = child.id(), "started the egress broker");
    std::thread::spawn(move || child.wait());
    Ok(())
}

async fn drain(mut session: Incoming) {
    while let Some(Ok(_)) = session.frame().await {}
}
