"""A retried create is one sandbox; the same key with another body is refused."""

import uuid

import miosa
from _support import client, raises

user = client()
key = str(uuid.uuid4())
first = user.sandboxes.create(name=f"once-{key[:8]}", idempotency_key=key)
try:
    again = user.sandboxes.create(name=f"once-{key[:8]}", idempotency_key=key)
    assert again.id == first.id, (first, again)
    with raises(miosa.MiosaError, "IDEMPOTENCY_PAYLOAD_MISMATCH", 409):
        user.sandboxes.create(name=f"else-{key[:8]}", idempotency_key=key)
    other = user.api_keys.create(name="another")
    fresh = client(api_key=other["key"])
    assert [box.id for box in fresh.sandboxes.list() if box.name == first.name] == [first.id], "one sandbox"
finally:
    first.destroy()
