"""API keys: make narrow ones, use, change, rotate, revoke."""

import miosa
from _support import client, raises, sandbox, unique

user = client()
name = unique("reader")
made = user.api_keys.create(name=name, scopes=["sandboxes:read"])
assert made["key"].startswith("msk_u_") and made["key_prefix"] == made["key"][:12], made
assert made["scopes"] == ["sandboxes:read"] and made["status"] == "active", made
listed = {item["id"]: item for item in user.api_keys.list()}
assert made["id"] in listed and made["key"] not in str(listed)
assert user.api_keys.get(made["id"])["name"] == name

reader = client(api_key=made["key"])
assert isinstance(reader.sandboxes.list(), list)
with raises(miosa.PermissionError, "FORBIDDEN", 403):
    reader.sandboxes.create()
with raises(miosa.PermissionError, "FORBIDDEN", 403):
    reader.api_keys.list()
with sandbox(user) as box:
    seen = reader.sandboxes.get(box.id)
    with raises(miosa.PermissionError, "FORBIDDEN", 403):
        seen.exec.run("true")
    with raises(miosa.PermissionError, "FORBIDDEN", 403):
        seen.destroy()

changed = user.api_keys.update(made["id"], name="other", scopes=["sandboxes:read", "runs:read"])
assert changed["name"] == "other" and changed["scopes"] == ["sandboxes:read", "runs:read"], changed
assert reader.runs.list() is not None, "the new scope holds at once"
rotated = user.api_keys.rotate(made["id"])
assert rotated["key"] != made["key"], "a new value"
with raises(miosa.AuthenticationError, "UNAUTHORIZED", 401):
    reader.sandboxes.list()
renewed = client(api_key=rotated["key"])
assert isinstance(renewed.sandboxes.list(), list)

keymaker = client(api_key=user.api_keys.create(name="maker", scopes=["api-keys:write"])["key"])
with raises(miosa.PermissionError, "FORBIDDEN", 403):
    keymaker.api_keys.create(name="more", scopes=["sandboxes:exec"])
with raises(miosa.PermissionError, "FORBIDDEN", 403):
    keymaker.api_keys.update(made["id"], scopes=["sandboxes:exec"])
with raises(miosa.PermissionError, "FORBIDDEN", 403):
    keymaker.api_keys.rotate(made["id"])
with raises(miosa.ValidationError, status=422):
    user.api_keys.create(name="x", scopes=["everything"])

user.api_keys.delete(rotated["id"])
with raises(miosa.AuthenticationError, "UNAUTHORIZED", 401):
    renewed.sandboxes.list()
with raises(miosa.AuthenticationError, "UNAUTHORIZED", 401):
    client(api_key="msk_u_wrong").sandboxes.list()
