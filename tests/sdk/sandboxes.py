"""Create, find, list, change, pause, stop, resume, extend and destroy a sandbox."""

import datetime

import miosa
from _support import client, raises, unique

user = client()
name, tag, person = unique("life"), unique("tag"), unique("person")
box = user.sandboxes.create(
    name=name,
    cpu_count=2,
    memory_mb=1024,
    disk_size_mb=2048,
    timeout_sec=1800,
    idle_timeout_sec=900,
    persistent=True,
    env={"COLOUR": "grey"},
    metadata={"ticket": "7"},
    tags=[tag, "other"],
    external_user_id=person,
    external_workspace_id="team-1",
    external_project_id="site",
)
try:
    assert box.id and box.slug and box.name == name, box
    assert box.wait_until_ready(timeout=60)
    assert box.state == "running" and box.ready, box.data
    assert (box.cpu_count, box.memory_mb, box.disk_size_mb) == (2, 1024, 2048), box.data
    assert (box.timeout_sec, box.idle_timeout_sec) == (1800, 900), box.data
    assert 0 < box.timeout_remaining_ms <= 1_800_000, box.data
    assert box.persistent and box.metadata["ticket"] == "7", box.data
    assert box.external_user_id == person and box.external_workspace_id == "team-1"
    assert box.external_project_id == "site" and box.template_id == "miosa-sandbox"
    assert isinstance(box.created_at, datetime.datetime) and isinstance(box.started_at, datetime.datetime)
    assert box.data["status"] == box.data["state"]
    assert box.exec.run("echo $COLOUR").stdout == "grey\n"
    readiness = box.readiness()
    assert readiness["ready"] is True, readiness
    assert box.wait_until_ready(timeout=20, stream=False), "by polling"

    # Found again under its name, and not made twice.
    assert user.sandboxes.get(box.id).id == box.id
    assert user.sandboxes.connect(box.id).id == box.id
    assert user.sandboxes.get_by_name(name).id == box.id
    assert user.sandboxes.get_or_create(name).id == box.id
    with raises(miosa.NotFoundError, "NOT_FOUND"):
        user.sandboxes.get_by_name(unique("nobody"))

    def ids(**filters):
        return [item.id for item in user.sandboxes.list(**filters)]

    assert ids(tags=[tag]) == [box.id]
    assert ids(external_user_id=person) == [box.id]
    assert ids(external_user_id=person, state="running") == [box.id]
    assert ids(external_user_id=person, state="paused") == []
    assert ids(external_user_id=person, external_project_id="nothing") == []
    assert box.id in ids(external_workspace_id="team-1")

    # Change.
    renamed = unique("renamed")
    box.update(name=renamed, metadata={"more": "x"}, timeout_sec=2000, idle_timeout_sec=1000, always_on=True)
    assert box.name == renamed and box.timeout_sec == 2000 and box.idle_timeout_sec == 1000 and box.always_on
    assert box.metadata["more"] == "x" and box.metadata["ticket"] == "7", "metadata is merged"
    assert user.sandboxes.get_by_name(renamed).id == box.id
    again = unique("tag")
    box.tags.set([again])
    assert ids(tags=[again]) == [box.id] and ids(tags=[tag]) == []
    box.extend(timeout_sec=2400)
    assert box.timeout_remaining_ms > 2_300_000, box.data

    # Pause keeps processes, stop keeps files.
    box.exec.run("echo kept > /workspace/kept; nohup sleep 600 >/dev/null 2>&1 & echo $! > /tmp/pid")
    box.pause()
    assert box.state == "paused" and box.wait_for_checkpoint(timeout=10), box.data
    with raises(miosa.MiosaError):
        user.sandboxes.get(box.id).resume(idempotency_key="x" * 300)
    assert user.sandboxes.get_or_create(renamed).state == "running", "a paused one is resumed"
    box.refresh()
    assert box.exec.run("kill -0 $(cat /tmp/pid)").exit_code == 0, "processes go on after a pause"
    box.stop()
    assert box.state == "stopped", box.data
    box.resume()
    assert box.wait_until_ready(timeout=60) and box.state == "running"
    assert box.exec.run("cat /workspace/kept").stdout == "kept\n"
    assert box.exec.run("test -e /tmp/pid && kill -0 $(cat /tmp/pid)").exit_code != 0, "processes end with a stop"
finally:
    box.destroy()
assert box.state == "destroyed", box.data
gone = [item.id for item in user.sandboxes.list(external_user_id=person) if item.state != "destroyed"]
assert gone == [], gone

# The other way to say it, and the helper for agents.
workspace = user.sandboxes.create_agent_workspace(unique("agent"), wait_timeout=60)
assert workspace.state == "running" and workspace.metadata["miosa_workspace_kind"] == "agent_workspace"
user.sandboxes.delete(workspace.id)
