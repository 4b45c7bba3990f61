"""Every refusal arrives as the SDK's own exception class, with a code, a sentence and a request id."""

import miosa
from _support import client, raises, sandbox, unique

user = client()
missing = "01900000-0000-7000-8000-000000000000"
with raises(miosa.NotFoundError, "NOT_FOUND", 404):
    user.sandboxes.get(missing)
with raises(miosa.NotFoundError, "NOT_FOUND", 404):
    user.sandboxes.get("../../etc/passwd")
with raises(miosa.AuthenticationError, "UNAUTHORIZED", 401):
    client(api_key="nothing").sandboxes.list()
for bad in ({"timeout_sec": -1}, {"cpu_count": 1, "memory_mb": 1, "disk_size_mb": 1024}, {"env": {"A B": "x"}}, {"name": "a/b" * 200}):
    with raises(miosa.ValidationError):
        user.sandboxes.create(**bad)
with raises(miosa.ValidationError):
    user.sandboxes.create(tags="not a list")
name = unique("twice")
with sandbox(user, name=name) as box:
    with raises(miosa.MiosaError, status=409):
        user.sandboxes.create(name=name)
    box.pause()
    for refused in (
        lambda: user.commands.run(box.id, "true"),
        lambda: user.commands.list(box.id),
        lambda: box.processes.list(),
    ):
        with raises(miosa.MiosaError, "SANDBOX_NOT_RUNNING", 409):
            refused()
    box.stop()
    with raises(miosa.MiosaError, status=409):
        user.commands.run(box.id, "true")

# Too many requests: the class, and how long to wait.
slow = user.api_keys.create(name=unique("slow"), rate_limit_rpm=2)
hasty = client(api_key=slow["key"], max_retries=0)
hasty.sandboxes.list()
hasty.sandboxes.list()
try:
    hasty.sandboxes.list()
except miosa.RateLimitError as error:
    assert error.status_code == 429 and error.code == "RATE_LIMITED" and error.retryable, repr(error)
    assert 0 < error.retry_after <= 60, repr(error)
else:
    raise AssertionError("no limit")
# With retries the SDK waits as long as it is told, and gets through.
quick = user.api_keys.create(name=unique("quick"), rate_limit_rpm=60)
patient = client(api_key=quick["key"])
for _ in range(62):
    patient.account.whoami()
