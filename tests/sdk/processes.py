"""Processes by process id: start, list, output so far and as it comes, stop."""

import os

import miosa
from _support import client, eventually, raises, sandbox, unique

user = client()
with sandbox(user) as box:
    name = unique("ticker")
    ticker = box.processes.start(
        'for i in 1 2 3; do echo "$WORD $i"; sleep 0.2; done; sleep 600', env={"WORD": "tick"}, name=name
    )
    pid = ticker["pid"]
    assert pid > 0 and ticker["name"] == name, ticker
    assert pid in [item["pid"] for item in box.processes.list()]
    assert box.processes.get(pid)["status"] == "running"
    lines = []
    for line in box.processes.stream(pid):
        lines.append(line["line"])
        if len(lines) == 3:
            break
    assert lines == ["tick 1", "tick 2", "tick 3"], lines
    assert "tick 3" in box.processes.logs(pid), box.processes.logs(pid)
    assert "tick 1" not in box.processes.logs(pid, tail=1), box.processes.logs(pid, tail=1)
    box.processes.stop(pid)
    eventually(lambda: box.processes.get(pid)["status"] == "killed", what="the stop")
    with raises(miosa.NotFoundError, "NOT_FOUND"):
        box.processes.stop(999_999)

    # What listens is seen as a port.
    server = box.processes.start("python3 -m http.server 8123")
    beside = miosa.Miosa(api_key=os.environ["MIOSA_API_KEY"], base_url=os.environ["MIOSA_BASE_URL"])
    ports = lambda: beside._transport.request("GET", f"/sandboxes/{box.id}/ports")["data"]["ports"]
    eventually(lambda: 8123 in [port["port"] for port in ports()], what="the port")
    box.processes.stop(server["pid"])
