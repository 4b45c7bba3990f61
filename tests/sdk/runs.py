"""Runs: an instruction to an agent in a sandbox, its events, files and output; cancel."""

import miosa
from _support import client, eventually, raises, sandbox

user = client()
with sandbox(user) as box:
    run = box.prompt(
        "write it down",
        provider="custom",
        command="sh -c 'echo \"heard: $MIOSA_INSTRUCTION $EXTRA\"; echo text > /workspace/made.txt; echo warn >&2'",
        env={"EXTRA": "more"},
        metadata={"ticket": "7"},
    )
    assert run["status"] == "succeeded" and run["exit_code"] == 0, run
    assert run["runner"] == "custom" and run["target_id"] == box.id and run["target_kind"] == "sandbox", run
    assert "heard: write it down more" in run["output"], run
    assert user.runs.get(run["id"])["status"] == "succeeded"
    assert run["id"] in [item["id"] for item in user.runs.list(sandbox_id=box.id)]
    assert [item["id"] for item in user.runs.list(target_id=box.id, status="succeeded", limit=1)] == [run["id"]]
    assert user.runs.list(target_id=box.id, status="failed") == []
    assert "heard" in str(user.runs.outputs(run["id"]))
    assert user.runs.command_output(run["id"])["stderr"].strip() == "warn"
    assert user.runs.messages(run["id"])[0]["content"] == "write it down"
    events = user.runs.events(run["id"])
    assert events and all(event["run_id"] == run["id"] and event["type"] for event in events), events
    assert user.runs.events(run["id"], after_id=events[0]["id"])[0]["id"] == events[1]["id"]
    assert user.runs.activity(run["id"]) == events
    streamed = [event for event in user.runs.stream_activity(run["id"])]
    assert len(streamed) == len(events), (streamed, events)

    files = user.runs.files(run["id"])
    made = next(item for item in files if item["path"].endswith("made.txt"))
    assert user.runs.download_file(run["id"], made["id"]) == b"text\n", made
    assert isinstance(user.runs.previews(run["id"]), list)
    diagnostics = user.runs.diagnostics(run["id"])
    assert [item["kind"] for item in diagnostics] == ["end"] and diagnostics[0]["exit_code"] == 0, diagnostics

    failed = box.run_agent("fail", runner="custom", command="sh -c 'exit 3'")
    assert failed["status"] == "failed" and failed["exit_code"] == 3, failed

    going = box.prompt("wait", provider="custom", command="sh -c 'sleep 600'", wait=False)
    assert going["status"] in ("queued", "running"), going
    eventually(lambda: user.runs.get(going["id"])["status"] == "running", what="the start")
    canceled = user.runs.cancel(going["id"])
    assert canceled["status"] == "canceled", canceled
    assert user.runs.wait_for_completion(going["id"], timeout=10)["status"] == "canceled"
    started = user.runs.run(
        instruction="by the tenant's client", target_kind="sandbox", target_id=box.id, runner="custom",
        command="sh -c 'echo by client'", wait=False, idempotency_key="runs-" + box.id,
    )
    assert user.runs.wait_for_completion(started["id"], timeout=60, poll_interval=0.1)["status"] == "succeeded"
    again = user.runs.run(
        instruction="by the tenant's client", target_kind="sandbox", target_id=box.id, runner="custom",
        command="sh -c 'echo by client'", wait=False, idempotency_key="runs-" + box.id,
    )
    assert again["id"] == started["id"], "the key makes it one run"
    with raises(miosa.NoAgentRunError, "NO_AGENT_RUN", 409):
        user.agent_steering.stop(box.id)
    with raises(miosa.NotFoundError, "NOT_FOUND"):
        user.runs.get("nothing")
    with raises(miosa.ValidationError):
        box.prompt("x", provider="custom")
