//! Attached commands.

use std::time::{Duration, Instant};

use base64::Engine;
use miosa_api::guest::{ExecStart, Exit, Resize, SignalRequest, frame};

use crate::agent::{Agent, argv_of, exited, shell, until};

#[tokio::test]
async fn output_and_exit_code_arrive() {
    let agent = Agent::start();
    let outcome = agent.shell("echo out; echo err >&2; exit 7").await;
    assert_eq!((outcome.text(), outcome.error()), ("out", "err"));
    assert_eq!(outcome.exit, exited(7));
    assert_eq!(agent.run(&["true"]).await.exit, exited(0));
    assert_eq!(agent.run(&["sh", "-c", "kill -9 $$"]).await.exit.code, 137);
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let agent = Agent::start();
    let missing = agent.run(&["no-such-program"]).await;
    assert_eq!(missing.exit, exited(127));
    assert_eq!(missing.error(), "miosa: no-such-program: command not found");
    assert_eq!(agent.run(&["/no/such"]).await.exit, exited(127));
    assert_eq!(agent.run(&["/etc/passwd"]).await.exit, exited(126));
    assert_eq!(agent.run(&["/etc"]).await.exit, exited(126));
    let cases = [
        (
            ExecStart {
                cwd: Some("/no/such".into()),
                ..argv_of(&["true"])
            },
            "/no/such",
        ),
        (
            ExecStart {
                cwd: Some("/etc/passwd".into()),
                ..argv_of(&["true"])
            },
            "not a directory",
        ),
        (
            ExecStart {
                cwd: Some("etc".into()),
                ..argv_of(&["true"])
            },
            "not an absolute path",
        ),
        (
            ExecStart {
                user: Some("no-one".into()),
                ..argv_of(&["true"])
            },
            "no such user",
        ),
        (
            ExecStart {
                stdin_base64: Some("?".into()),
                ..argv_of(&["true"])
            },
            "stdin_base64",
        ),
        (ExecStart::default(), "neither argv nor shell"),
    ];
    for (start, why) in cases {
        let outcome = agent.exec(&start).await.outcome().await;
        assert_eq!(outcome.exit, exited(126), "{why}");
        assert!(outcome.error().contains(why), "{:?}", outcome.error());
    }
}

#[tokio::test]
async fn the_environment_is_the_given_one_with_defaults() {
    let agent = Agent::start();
    let mut start = argv_of(&["env"]);
    start.env.insert("GREETING".into(), "hello world".into());
    let outcome = agent.exec(&start).await.outcome().await;
    let mut lines: Vec<&str> = outcome.text().lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "GREETING=hello world",
            "HOME=/root",
            "LANG=C.UTF-8",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "USER=root",
        ]
    );
    let mut start = shell("echo $PATH");
    start
        .env
        .insert("PATH".into(), "/opt/first:/usr/bin:/bin".into());
    assert_eq!(
        agent.exec(&start).await.outcome().await.text(),
        "/opt/first:/usr/bin:/bin"
    );
}

#[tokio::test]
async fn a_command_starts_clean() {
    let agent = Agent::start();
    let workdir = agent.path_text("work");
    assert_eq!(agent.run(&["pwd"]).await.text(), workdir);
    // 3 is the folder that `ls` itself has open.
    assert_eq!(
        agent.run(&["ls", "/proc/self/fd"]).await.text(),
        "0\n1\n2\n3"
    );
    let ignored = agent
        .run(&["grep", "-E", "SigIgn|SigBlk", "/proc/self/status"])
        .await;
    assert_eq!(
        ignored.text(),
        "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000"
    );
    let own = agent
        .shell("test $(cut -d' ' -f5 /proc/$$/stat) = $$ && echo own group")
        .await;
    assert_eq!(own.text(), "own group");
}

#[tokio::test]
async fn another_user_has_its_groups_and_nothing_of_roots() {
    let agent = Agent::start();
    let start = ExecStart {
        user: Some("nobody".into()),
        ..shell("id; echo $HOME $USER")
    };
    let outcome = agent.exec(&start).await.outcome().await;
    let expected =
        "uid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup)\n/nonexistent nobody";
    assert_eq!(outcome.text(), expected);
    let start = ExecStart {
        user: Some("4242".into()),
        ..argv_of(&["id", "-u"])
    };
    assert_eq!(agent.exec(&start).await.outcome().await.text(), "4242");
}

#[tokio::test]
async fn input_is_passed_until_it_is_closed() {
    let agent = Agent::start();
    let mut exec = agent.exec(&argv_of(&["cat"])).await;
    exec.send(frame::STDIN, b"first ").await;
    exec.send(frame::STDIN, b"second").await;
    exec.send(frame::STDIN, b"").await;
    let outcome = exec.outcome().await;
    assert_eq!((outcome.text(), outcome.exit), ("first second", exited(0)));
    let text = base64::engine::general_purpose::STANDARD.encode(vec![b'x'; 300_000]);
    let start = ExecStart {
        stdin_base64: Some(text),
        ..argv_of(&["wc", "-c"])
    };
    assert_eq!(agent.exec(&start).await.outcome().await.text(), "300000");
}

#[tokio::test]
async fn large_output_is_intact_and_a_slow_reader_stops_the_command() {
    let agent = Agent::start();
    let progress = agent.path("progress");
    let text = format!(
        "for i in $(seq 64); do head -c 1048576 /dev/zero | tr '\\0' x; echo $i > {}; done",
        progress.display()
    );
    let exec = agent.exec(&shell(&text)).await;
    // Nobody reads: at some time the command stops, long before its end.
    let mut last = (String::new(), Instant::now());
    let stopped = until("the command stops", || {
        let now = std::fs::read_to_string(&progress).unwrap_or_default();
        if now != last.0 {
            last = (now, Instant::now());
        }
        (last.1.elapsed() > Duration::from_millis(500)).then(|| last.0.trim().to_owned())
    })
    .await;
    assert!(
        stopped.parse().unwrap_or(0) < 32,
        "{stopped} MiB written and not read"
    );
    let outcome = exec.outcome().await;
    assert_eq!(outcome.stdout.len(), 64 << 20);
    assert!(outcome.stdout.iter().all(|byte| *byte == b'x'));
}

#[tokio::test]
async fn shell_text_may_be_long_and_have_many_lines() {
    let agent = Agent::start();
    let text = format!(
        "cat <<'END'\n{}\nEND\nexit 3",
        "0123456789abcde\n".repeat(20_000)
    );
    let outcome = agent.shell(&text).await;
    assert_eq!((outcome.stdout.len(), outcome.exit), (320_001, exited(3)));
    let user = ExecStart {
        user: Some("nobody".into()),
        ..shell(&text)
    };
    assert_eq!(agent.exec(&user).await.outcome().await.exit, exited(3));
}

#[tokio::test]
async fn a_terminal_has_its_size_and_takes_another() {
    let agent = Agent::start();
    let tty = Some(Resize { cols: 91, rows: 33 });
    let text = "stty size; read line; stty size; echo $TERM; test -t 0 && tty </dev/tty";
    let mut exec = agent.exec(&ExecStart { tty, ..shell(text) }).await;
    exec.read_until("33 91").await;
    exec.send(frame::RESIZE, br#"{"cols":120,"rows":40}"#).await;
    exec.send(frame::STDIN, b"\n").await;
    let outcome = exec.outcome().await;
    assert_eq!(outcome.exit, exited(0));
    assert!(
        outcome.text().contains("40 120\r\nxterm-256color\r\n/dev/"),
        "{}",
        outcome.text()
    );
    let mut exec = agent
        .exec(&ExecStart {
            tty,
            ..argv_of(&["cat"])
        })
        .await;
    exec.send(frame::STDIN, b"").await;
    assert_eq!(exec.outcome().await.exit, exited(0));
}

#[tokio::test]
async fn signals_reach_the_whole_group() {
    let agent = Agent::start();
    let mut exec = agent.exec(&shell("sleep 1000 & echo ready; wait")).await;
    exec.read_until("ready").await;
    let signal = serde_json::to_vec(&SignalRequest { signal: 15 }).expect("JSON");
    exec.send(frame::SIGNAL, &signal).await;
    let exit = Exit {
        code: 143,
        signal: Some(15),
        timed_out: false,
    };
    assert_eq!(exec.outcome().await.exit, exit);
    until("no child is left", || {
        agent.children().is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_timeout_ends_even_what_ignores_it() {
    let agent = Agent::start();
    let start = ExecStart {
        timeout_ms: Some(100),
        ..argv_of(&["sleep", "1000"])
    };
    let outcome = agent.exec(&start).await.outcome().await;
    assert_eq!(
        outcome.exit,
        Exit {
            code: 124,
            signal: Some(15),
            timed_out: true
        }
    );
    let stubborn = "trap '' TERM; echo before; while :; do sleep 1000; done";
    let start = ExecStart {
        timeout_ms: Some(300),
        ..shell(stubborn)
    };
    let began = Instant::now();
    let outcome = agent.exec(&start).await.outcome().await;
    assert_eq!(outcome.text(), "before");
    assert_eq!(
        outcome.exit,
        Exit {
            code: 124,
            signal: Some(9),
            timed_out: true
        }
    );
    assert!(began.elapsed() > Duration::from_secs(2));
}

#[tokio::test]
async fn a_background_child_holds_nobody_up() {
    let agent = Agent::start();
    let began = Instant::now();
    let outcome = agent.shell("nohup sleep 600 & echo $!").await;
    assert_eq!(outcome.exit, exited(0));
    // And one that never falls silent.
    assert_eq!(agent.shell("yes & echo").await.exit, exited(0));
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    let alive = agent.run(&["kill", "-0", outcome.text()]).await;
    assert_eq!(alive.exit, exited(0), "the child outlives its command");
    agent.run(&["kill", outcome.text()]).await;
}

#[tokio::test]
async fn a_caller_that_leaves_ends_its_command() {
    let agent = Agent::start();
    let mut exec = agent
        .exec(&shell("trap '' HUP; sleep 1000 & echo ready; wait; wait"))
        .await;
    exec.read_until("ready").await;
    assert!(!agent.children().is_empty());
    drop(exec);
    until("no child is left", || {
        agent.children().is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn orphans_are_reaped() {
    let agent = Agent::start();
    let text = "for i in 1 2 3 4 5; do (sh -c 'sleep 0.1; exit 3' &) ; done >/dev/null 2>&1";
    assert_eq!(agent.shell(text).await.exit, exited(0));
    until("orphans are gone", || {
        agent.children().is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn many_short_commands_at_a_time_lose_no_exit() {
    let agent = Agent::start();
    let runs = (0..100).map(|code| {
        let agent = &agent;
        async move {
            let outcome = agent.shell(&format!("exit {code}")).await;
            assert_eq!(outcome.exit, exited(code));
        }
    });
    futures_util::future::join_all(runs).await;
}
