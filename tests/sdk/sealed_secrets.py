"""Secrets: store, bind, list without values, rotate, delete; for a tenant and for a sandbox."""

import json

import miosa
from _support import client, raises, sandbox, unique

user = client()
value = unique("sk-real")
name = unique("own")
# A secret is of a provider, so that it is known where it may go: named before the slash, or by its variable.
made = user.secrets.set(name=f"anthropic/{name}", value=value, metadata={"why": "test"})
made = made.get("data", made)
assert made["id"] and made["name"] == name and value not in json.dumps(made), made
assert made["masked_value"] and made["type"] == "api_key" and made["scope"] == "user", made
assert user.secrets.get(made["id"])["name"] == name
assert made["id"] in [item["id"] for item in user.secrets.list()]
assert value not in json.dumps(user.secrets.list())
rotated = user.secrets.rotate(made["id"], unique("sk-next"))
assert rotated["id"] == made["id"], rotated

with sandbox(user) as box:
    binding = user.secrets.create_binding(
        secret_id=made["id"], resource_id=box.id, resource_type="sandbox", expose_as_env="MODEL_KEY"
    )
    assert binding["expose_as_env"] == "MODEL_KEY" and binding["resource_id"] == box.id, binding
    before = box.exec.run("printf %s $MODEL_KEY").stdout
    assert "miosa-tok-" in before and value not in before, before
    user.secrets.rotate(made["id"], unique("sk-third"))
    assert box.exec.run("printf %s $MODEL_KEY").stdout == before, "rotation keeps the placeholder"
    assert [item["id"] for item in user.secrets.list_bindings(resource_id=box.id)] == [binding["id"]]
    assert [item["id"] for item in box.secrets.list_bindings()] == [binding["id"]]
    user.secrets.delete_binding(binding["id"])
    assert box.exec.run("printf %s \"$MODEL_KEY\"").stdout == ""

    own = box.secrets.set(name=f"openai/{unique('own')}", value=value, expose_as_env="OWN_KEY")
    own = own.get("data", own)
    assert box.exec.run("printf %s $OWN_KEY").stdout.count("miosa-tok-") == 1
    assert own["id"] in [item["id"] for item in box.secrets.list()]
    assert box.secrets.get(own["id"])["id"] == own["id"]
    box.secrets.rotate(own["id"], unique("sk-again"))
    box.secrets.delete(own["id"])
    assert box.exec.run("printf %s \"$OWN_KEY\"").stdout == ""
    with raises(miosa.NotFoundError, "NOT_FOUND"):
        box.secrets.get(own["id"])

with raises(miosa.ValidationError, "UNKNOWN_PROVIDER", 422):
    user.secrets.set(name="for-nobody-knows-what", value=value)
user.secrets.delete(made["id"])
with raises(miosa.NotFoundError, "NOT_FOUND"):
    user.secrets.get(made["id"])
