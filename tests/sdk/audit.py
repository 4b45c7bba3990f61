"""What left a sandbox: list with filters, one event, tail."""

import itertools

import miosa
from _support import client, eventually, raises, sandbox

user = client()
HOST, OTHER = "api.anthropic.com", "collector.attacker.example"
with sandbox(user) as box:
    box.network.deny(OTHER)
    box.exec.run(f"curl -sk https://{HOST}/v1/x?secret=1; curl -sk https://{OTHER}/; true")
    eventually(lambda: len(box.audit.list()) >= 2, what="two lines")
    lines = box.audit.list()
    assert {line["host"] for line in lines} >= {HOST, OTHER}, lines
    assert all(line["id"] and line["inserted_at"] and line["resource_id"] == box.id for line in lines), lines
    assert "secret=1" not in str(lines), "queries are not written down"
    refused = box.audit.list(host=OTHER)
    assert refused and all(line["action"] == "reject" and line["effect"] == "deny" for line in refused), refused
    assert {line["host"] for line in user.audit.list(resource_id=box.id, action="reject")} == {OTHER}
    refused = refused[0]
    assert user.audit.get(refused["id"])["host"] == OTHER and box.audit.get(refused["id"])["id"] == refused["id"]
    assert user.audit.list(resource_id=box.id, until="2001-01-01T00:00:00Z") == []
    assert len(user.audit.list(resource_id=box.id, limit=1)) == 1
    tailed = set()
    for line in itertools.islice(user.audit.tail(resource_id=box.id, poll_interval=0.1), 50):
        tailed.add(line["host"])
        if tailed == {HOST, OTHER}:
            break
    assert tailed == {HOST, OTHER}, tailed

    with raises(miosa.NotFoundError, "NOT_FOUND"):
        user.audit.get("nothing")
