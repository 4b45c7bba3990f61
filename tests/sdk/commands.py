"""Commands by id: run to the end, or detached with status, output and kill."""

import miosa
from _support import client, eventually, raises, sandbox, unique

user = client()
with sandbox(user) as box:
    # Without `detached` the call is the command: it answers with its end.
    done = user.commands.run(box.id, "cat; pwd; echo err >&2; exit 5", cwd="/tmp", stdin="from stdin\n", timeout_seconds=30)
    assert done["exit_code"] == 5 and done["stdout"] == "from stdin\n/tmp\n" and done["stderr"] == "err\n", done
    assert done["status"] == "exited" and done["duration_ms"] >= 0, done
    assert user.commands.run(box.id, "true")["exit_code"] == 0
    assert user.commands.run(box.id, "id -un", user="root")["stdout"] == "root\n"
    with raises(miosa.CommandTimeoutError, "TIMEOUT_TOO_LONG", 422):
        user.commands.run(box.id, "true", timeout_seconds=601)
    with raises(miosa.ValidationError, status=422):
        user.commands.run(box.id, "  ")

    # Detached it goes on by itself.
    name = unique("job")
    job = user.commands.run(box.id, "echo begun; sleep 600", detached=True, name=name)
    assert job["status"] == "running" and job["id"] and job["pid"] > 0 and job["name"] == name, job
    assert job["id"] in [item["id"] for item in user.commands.list(box.id)]
    assert user.commands.get(box.id, job["id"])["status"] == "running"
    assert user.commands.get(box.id, job["pid"])["id"] == job["id"], "also by process id"
    eventually(lambda: user.commands.logs(box.id, job["id"])["lines"] == ["begun"], what="the output")
    assert user.commands.kill(box.id, job["id"])["id"] == job["id"]
    eventually(lambda: user.commands.get(box.id, job["id"])["status"] == "killed", what="the kill")
    short = user.commands.run(box.id, "echo done", detached=True)
    ended = eventually(
        lambda: (seen := user.commands.get(box.id, short["id"]))["status"] == "exited" and seen, what="the end"
    )
    assert ended["exit_code"] == 0, ended
    with raises(miosa.NotFoundError, "NOT_FOUND"):
        user.commands.get(box.id, "nothing")

    # The same from the sandbox itself.
    assert box.commands.run("echo hi").stdout == "hi\n"
    background = box.commands.run("sleep 600", background=True)
    assert background.pid > 0 and background.status()["status"] == "running"
    background.kill()
    eventually(lambda: background.status()["status"] == "killed", what="the kill")
    with_options = box.commands.run("pwd > /tmp/where; sleep 600", {"cwd": "/usr"}, background=True)
    eventually(lambda: box.exec.run("cat /tmp/where").stdout == "/usr\n", what="the folder")
    with_options.kill()
