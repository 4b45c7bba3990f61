"""Run commands and read their output, whole and as it comes."""

import time

import miosa
from _support import client, raises, sandbox

user = client()
with sandbox(user) as box:
    done = box.exec.run("echo out; echo err >&2; exit 7")
    assert (done.stdout, done.stderr, done.exit_code) == ("out\n", "err\n", 7), done
    assert done.duration_ms >= 0
    assert box.run("pwd").stdout == "/workspace\n"
    assert box.exec.run("pwd; echo $WORD", {"cwd": "/tmp", "env": {"WORD": "a b"}}).stdout == "/tmp\na b\n"
    assert box.exec.run("python3 - <<'END'\nprint(6 * 7)\nEND").stdout == "42\n"
    assert box.exec.run("printf 'gr\\303\\274n'").stdout == "grün"
    began = time.monotonic()
    late = box.exec.run("sleep 30", {"timeout": 1})
    assert time.monotonic() - began < 15 and late.exit_code != 0, late

    # As it comes: the first line is there long before the command ends.
    began, seen, first = time.monotonic(), [], None
    for event in box.exec.stream("echo one; sleep 2; echo two >&2; exit 3"):
        first = first or time.monotonic() - began
        seen.append(event)
    kinds = [event.type for event in seen]
    assert first < 1.5, f"the first line came after {first} s"
    assert kinds[-1] == "exit" and "stdout" in kinds and "stderr" in kinds, seen
    assert seen[-1].data["exit_code"] == 3, seen
    assert "one" in str(seen[0].data) and seen[0].type == "stdout", seen
    assert [event.type for event in box.commands.stream("true")][-1] == "exit"

    assert box.exec.run("true", {"cwd": "/does/not/exist"}).exit_code != 0
    box.pause()
    with raises(miosa.MiosaError, status=409):
        user.sandboxes.get(box.id)._transport.request(
            "POST", f"/sandboxes/{box.id}/exec", json_body={"command": "true"}
        )
