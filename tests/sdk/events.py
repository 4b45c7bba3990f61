"""Events of a sandbox and of the tenant, as they happen and from where one left off."""

import os
import threading

import miosa
from _support import client, sandbox

user = client()
with sandbox(user) as box:
    box.exec.run("true")
    kinds, ids = [], []
    stream = box.events.stream()
    for event in stream:
        kinds.append(event["type"])
        ids.append(int(event["id"]))
        if event["type"] == "sandbox.exec.completed":
            break
    stream.close()
    assert "sandbox.started" in kinds and "sandbox.exec.started" in kinds, kinds
    assert ids == sorted(ids) and len(set(ids)) == len(ids), ids

    # The tenant's stream begins when it is opened, so something has to happen after that.
    beside = miosa.Miosa(api_key=os.environ["MIOSA_API_KEY"], base_url=os.environ["MIOSA_BASE_URL"])
    later = threading.Timer(0.5, lambda: beside.sandboxes.get(box.id).exec.run("exit 9"))
    later.start()
    tenant = user.events.stream(types=["sandbox.exec.*"])
    for event in tenant:
        if event.get("sandbox_id") == box.id or event.get("data", {}).get("sandbox_id") == box.id:
            assert str(event["type"]).startswith("sandbox.exec."), event
            break
    tenant.close()
    later.join()
