"""Usage, metrics, resources and listening ports of a sandbox."""

from _support import client, eventually, sandbox

user = client()
with sandbox(user, cpu_count=1, memory_mb=512, disk_size_mb=1024) as box:
    box.exec.run("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done")
    usage = box.usage()
    assert usage["sandbox_id"] == box.id and usage["state"] == "running", usage
    assert usage["active_cpu_ms"] > 0 and usage["creation_count"] == 1, usage
    assert usage["timeout_sec"] == box.timeout_sec and usage["timeout_remaining_ms"] > 0, usage
    assert {"provisioned_vcpu_ms", "provisioned_memory_mb_ms", "runtime_sec", "measurement_status"} <= set(usage)

    metrics = box.metrics(window="24h")
    assert metrics["resource_id"] == box.id and metrics["window"] == "24h", metrics
    current = metrics["current"]
    assert current["state"] == "running" and current["memory_mb"] == 512 and current["memory_bytes"] > 0, current
    assert box.get_metrics()["window"] == "1h"

    for resources in (box.resources(), user.sandboxes.resources(box.id)):
        assert resources["id"] == box.id and resources["resources"]["memory_mb"] == 512, resources

    logs = box.get_logs(lines=5)
    assert logs is not None
