//! Detached commands.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Method;
use miosa_api::guest::{ExecStart, Exit, Process, SignalRequest, frame};
use miosa_api::limits::{
    JSON_BODY_BYTES_MAX, PROCESS_COMMAND_BYTES_MAX, PROCESS_LOG_BYTES_MAX, PROCESSES_MAX,
};

use crate::agent::{Agent, Answer, argv_of, exited, shell};

/// Kind and payload of whole frames.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [kind, a, b, c, d, rest @ ..] = bytes {
        let (payload, rest) = rest.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        frames.push((*kind, payload.to_vec()));
        bytes = rest;
    }
    assert!(bytes.is_empty(), "half a frame");
    frames
}

fn offset(answer: &Answer) -> u64 {
    answer.headers["miosa-offset"]
        .to_str()
        .expect("ASCII")
        .parse()
        .expect("a number")
}

impl Agent {
    async fn detach(&self, start: &ExecStart) -> Process {
        self.post("/v1/processes", start).await.json()
    }

    /// The whole output from an offset, awaited until the end.
    async fn follow(&self, id: &str, offset: u64) -> Answer {
        let answer = self
            .get(&format!(
                "/v1/processes/{id}/output?follow=true&offset={offset}"
            ))
            .await;
        assert_eq!(answer.status, 200);
        answer
    }
}

#[tokio::test]
async fn output_is_kept_and_ends_with_the_exit() {
    let agent = Agent::start();
    let start = ExecStart {
        name: Some("job".into()),
        ..shell("echo one; echo two >&2; exit 4")
    };
    let started = agent.detach(&start).await;
    assert_eq!(
        (started.id.as_str(), started.name.as_deref()),
        ("p1", Some("job"))
    );
    assert_eq!(started.command, "echo one; echo two >&2; exit 4");
    let answer = agent.follow("p1", 0).await;
    let mut found = frames(&answer.body);
    let (kind, exit) = found.pop().expect("the exit");
    assert_eq!(kind, frame::EXIT);
    assert_eq!(
        serde_json::from_slice::<Exit>(&exit).expect("JSON"),
        exited(4)
    );
    found.sort_unstable();
    assert_eq!(found, [(1, b"one\n".to_vec()), (2, b"two\n".to_vec())]);
    let ended = agent.process("p1").await;
    assert_eq!((ended.exit, ended.output_bytes), (Some(exited(4)), 18));
    // Offsets: in the middle of a frame the next one, behind the end only the exit.
    let middle = agent.follow("p1", 3).await;
    assert_eq!((offset(&middle), frames(&middle.body).len()), (9, 2));
    let end = agent.follow("p1", 18).await;
    assert_eq!((offset(&end), frames(&end.body).len()), (18, 1));
}

#[tokio::test]
async fn a_follower_sees_output_as_it_comes() {
    let agent = Agent::start();
    let gate = agent.path_text("gate");
    let text = format!("mkfifo {gate}; echo first; read line < {gate}; echo $line");
    agent.detach(&shell(&text)).await;
    let uri = "/v1/processes/p1/output?follow=true";
    let mut body = agent.send(Method::GET, uri, Bytes::new()).await.into_body();
    let mut seen = Vec::new();
    while !seen.ends_with(b"first\n") {
        seen.extend(
            body.frame()
                .await
                .expect("more")
                .expect("intact")
                .into_data()
                .expect("data"),
        );
    }
    // Without follow the answer ends where the output does, and without an exit.
    let now = agent.get("/v1/processes/p1/output").await;
    assert_eq!(frames(&now.body), [(1, b"first\n".to_vec())]);
    assert_eq!(agent.process("p1").await.exit, None);
    agent.shell(&format!("echo second > {gate}")).await;
    seen.extend(body.collect().await.expect("a whole body").to_bytes());
    assert_eq!(frames(&seen)[1], (1, b"second\n".to_vec()));
    assert_eq!(frames(&seen)[2].0, frame::EXIT);
}

#[tokio::test]
async fn the_oldest_output_is_dropped_and_offsets_stay_absolute() {
    let agent = Agent::start();
    let bytes = PROCESS_LOG_BYTES_MAX * 2;
    agent
        .detach(&shell(&format!("yes 0123456 | head -c {bytes}")))
        .await;
    // A follower that the output overtakes is sent away before the end.
    while agent.process("p1").await.exit.is_none() {
        agent.follow("p1", u64::MAX).await;
    }
    let answer = agent.follow("p1", 0).await;
    let end = agent.process("p1").await.output_bytes;
    assert!(end > bytes as u64);
    let kept = frames(&answer.body);
    let payload: Vec<u8> = kept
        .iter()
        .filter(|(kind, _)| *kind == frame::STDOUT)
        .flat_map(|f| f.1.clone())
        .collect();
    let exit = kept.last().expect("the exit").1.len() + 5;
    assert_eq!(offset(&answer), end - (answer.body.len() - exit) as u64);
    assert!(answer.body.len() - exit <= PROCESS_LOG_BYTES_MAX);
    assert!(payload.len() > PROCESS_LOG_BYTES_MAX - 70_000);
    assert!(payload.ends_with(b"0123456\n0123456\n"));
}

#[tokio::test]
async fn signals_and_timeouts_end_it() {
    let agent = Agent::start();
    let started = agent.detach(&shell("sleep 1000 & sleep 1000")).await;
    let uri = format!("/v1/processes/{}/signal", started.id);
    assert_eq!(
        agent.post(&uri, &SignalRequest { signal: 9 }).await.status,
        204
    );
    agent.follow(&started.id, 0).await;
    assert_eq!(
        agent.process("p1").await.exit.map(|exit| exit.code),
        Some(137)
    );
    let bad = agent.post(&uri, &SignalRequest { signal: 0 }).await;
    assert_eq!(bad.code(), (400, "BAD_REQUEST".into()));
    let start = ExecStart {
        timeout_ms: Some(50),
        ..argv_of(&["sleep", "1000"])
    };
    let started = agent.detach(&start).await;
    agent.follow(&started.id, 0).await;
    let exit = agent.process(&started.id).await.exit.expect("ended");
    assert_eq!((exit.code, exit.timed_out), (124, true));
}

#[tokio::test]
async fn what_cannot_start_is_listed_as_ended() {
    let agent = Agent::start();
    let failed = agent.detach(&argv_of(&["no-such-program"])).await;
    assert_eq!((failed.exit, failed.pid), (Some(exited(127)), 0));
    let answer = agent.follow(&failed.id, 0).await;
    let message = b"miosa: no-such-program: command not found\n".to_vec();
    assert_eq!(frames(&answer.body)[0], (frame::STDERR, message));
    assert_eq!(
        agent.get("/v1/processes/p99").await.code(),
        (404, "NOT_FOUND".into())
    );
    let bad = agent.request(Method::POST, "/v1/processes", "{").await;
    assert_eq!(bad.code(), (400, "BAD_REQUEST".into()));
}

#[tokio::test]
async fn ended_ones_are_forgotten_first() {
    let agent = Agent::start();
    let living = agent.detach(&argv_of(&["sleep", "1000"])).await;
    for _ in 0..PROCESSES_MAX {
        agent.detach(&argv_of(&["no-such-program"])).await;
    }
    let known: Vec<Process> = agent.get("/v1/processes").await.json();
    assert_eq!(known.len(), PROCESSES_MAX);
    assert!(known.iter().any(|process| process.id == living.id));
    assert!(known.iter().all(|process| process.id != "p2"));
}

#[tokio::test]
async fn a_request_has_a_largest_size() {
    let agent = Agent::start();
    let fits = shell(&format!(
        "exit 6 # {}",
        "x".repeat(JSON_BODY_BYTES_MAX - 1024)
    ));
    let started = agent.detach(&fits).await;
    assert_eq!(started.command.len(), PROCESS_COMMAND_BYTES_MAX);
    agent.follow(&started.id, u64::MAX).await;
    assert_eq!(agent.process(&started.id).await.exit, Some(exited(6)));
    let large = agent
        .post("/v1/processes", &shell(&"x".repeat(JSON_BODY_BYTES_MAX)))
        .await;
    assert_eq!(large.code(), (413, "TOO_LARGE".into()));
}
