"""Snapshots: take, list, go back to, start from, delete; and forks of what runs."""

import json
import os

import miosa
from _support import client, raises, sandbox, unique

user = client()
REFERO, REFERO_TOKEN = "refero/design-research", os.environ["MIOSA_TEST_REFERO_TOKEN"]
ASK = "curl -sS -o /dev/null -w '%{http_code}' -H \"authorization: Bearer $TOKEN\" https://api.refero.design/mcp"


def ask(box, token):
    """Status of a request with this placeholder: what the provider says, or a refusal."""
    return box.exec.run(f"TOKEN={token}; {ASK}").stdout


def shell(box, text):
    done = box.exec.run(text)
    assert done.exit_code == 0, (text, done.stdout, done.stderr)
    return done.stdout.strip()


def kept_ids(box):
    return [item["id"] for item in box.snapshots.list()]


made = []
try:
    with sandbox(user, name=unique("parent"), env={"COLOUR": "grey"}, metadata={"ticket": "7"}) as box:
        box.connectors.attach(REFERO, env="REFERO_MCP_TOKEN")
        shell(box, "mkdir -p /workspace/d && echo first > /workspace/d/file && chown -R 1000:1000 /workspace/d")
        shell(box, "printf %s $REFERO_MCP_TOKEN > /root/copy; nohup sleep 600 >/dev/null 2>&1 & echo $! > /root/pid")
        own = shell(box, "cat /root/copy")
        assert own.startswith("miosa-tok-") and ask(box, own) not in ("000", "401", "403")

        # Taken of a running sandbox, which goes on.
        first = box.snapshots.create(comment="before the change")
        assert first["id"] and first["status"] == "ready" and first["size_bytes"] > 0, first
        assert first["comment"] == "before the change" and first["sandbox_id"] == box.id, first
        assert first["env_keys"] == ["COLOUR"], first
        assert first["connectors"] == [{"connector": REFERO, "env_name": "REFERO_MCP_TOKEN"}], first
        assert own not in json.dumps(first) and REFERO_TOKEN not in json.dumps(first)
        assert box.exec.run("kill -0 $(cat /root/pid)").exit_code == 0, "its processes go on"
        second = box.snapshot()
        assert kept_ids(box) == [second, first["id"]], "newest first"
        everything = user.snapshot_history.list(resource_id=box.id)["data"]
        assert [item["id"] for item in everything] == [second, first["id"]], everything
        assert user.snapshot_history.get(first["id"])["data"]["resource"]["id"] == box.id

        # A fork: the same files, another identity, a placeholder of its own.
        shell(box, "echo later > /workspace/d/file")
        fork = box.fork(name=unique("fork"), metadata={"more": "x"}, timeout_sec=1200, env={"SHAPE": "round"})
        made.append(fork.id)
        assert fork.id != box.id and fork.slug != box.slug and fork.wait_until_ready(timeout=60)
        assert fork.timeout_sec == 1200 and fork.metadata["more"] == "x" and fork.metadata["ticket"] == "7"
        assert shell(fork, "cat /workspace/d/file; stat -c %u:%g /workspace/d/file") == "later\n1000:1000"
        assert shell(fork, "echo $COLOUR $SHAPE") == "grey round"
        assert "sleep" not in shell(fork, "cat /proc/[0-9]*/comm"), "files are forked, not processes"
        child = shell(fork, "printf %s $REFERO_MCP_TOKEN")
        assert child.startswith("miosa-tok-") and child != own
        assert shell(fork, "cat /root/copy") == own, "the parent's came along in a file"
        assert ask(fork, own) in ("000", "401", "403"), "and is dead there"
        assert ask(fork, child) not in ("000", "401", "403")
        assert ask(box, own) not in ("000", "401", "403"), "the parent's goes on"
        assert ask(box, child) in ("000", "401", "403")
        for path in ("/etc/machine-id", "/.miosa/ca.pem", "/etc/hostname"):
            assert shell(fork, f"cat {path}") != shell(box, f"cat {path}"), path
        shell(fork, "echo of-the-fork > /workspace/d/file")
        assert shell(box, "cat /workspace/d/file") == "later", "neither writes to the other"

        # Of a snapshot, by a fork and by a create.
        old = box.fork(snapshot_id=first["id"])
        made.append(old.id)
        assert old.wait_until_ready(timeout=60) and shell(old, "cat /workspace/d/file") == "first"
        again = user.snapshot_history.fork(first["id"])["data"]
        made.append(again["id"])
        assert shell(user.sandboxes.get(again["id"]), "cat /workspace/d/file") == "first"

        # Back to it: files as they were, and the same placeholder as before.
        back = box.snapshots.restore(first["id"])
        assert back.id == box.id and back.state == "running", back.data
        assert shell(box, "cat /workspace/d/file") == "first"
        assert shell(box, "printf %s $REFERO_MCP_TOKEN") == own and ask(box, own) not in ("000", "401", "403")

        # Also of one that is paused, and back from one that stands still.
        box.pause()
        third = box.snapshots.create()
        assert third["held_ms"] >= 0 and user.sandboxes.get(box.id).state == "paused", "still paused"
        box.resume()

        # What is deleted is not there; what lies over it goes on.
        box.snapshots.delete(first["id"])
        assert first["id"] not in kept_ids(box)
        assert shell(old, "cat /workspace/d/file") == "first" and shell(box, "cat /workspace/d/file") == "first"
        with raises(miosa.NotFoundError, "NOT_FOUND"):
            box.snapshots.delete(first["id"])
        with raises(miosa.NotFoundError, "NOT_FOUND"):
            box.snapshots.restore(first["id"])
        with raises(miosa.NotFoundError, "NOT_FOUND"):
            box.fork(snapshot_id=first["id"])
        with raises(miosa.NotFoundError, "NOT_FOUND"):
            fork.snapshots.restore(second)
        with raises(miosa.ValidationError):
            user.snapshot_history.bulk_delete(resource_id=box.id, all=True, confirm="no")
        gone = box.id

    # Snapshots outlive their sandbox.
    late = user.snapshot_history.fork(second)["data"]
    made.append(late["id"])
    assert shell(user.sandboxes.get(late["id"]), "cat /workspace/d/file") == "first"
    told = user.snapshot_history.bulk_delete(resource_id=gone, all=True, confirm=gone)["data"]
    assert set(told["deleted"]) == {second, third["id"]} and told["failed"] == [], told
    assert user.snapshot_history.list(resource_id=gone)["data"] == []
finally:
    for sandbox_id in made:
        user.sandboxes.delete(sandbox_id)
