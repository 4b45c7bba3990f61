"""Where a sandbox may go: allow, deny, lockdown, observe, suggestions, what is pending."""

import miosa
from _support import client, raises, sandbox

user = client()
HOST, OTHER = "api.anthropic.com", "collector.attacker.example"
with sandbox(user) as box:
    def status(host):
        return box.exec.run(f"curl -skS -o /dev/null -w '%{{http_code}}' https://{host}/").stdout

    assert status(OTHER) == "200", "observed by default"
    denied = box.network.deny(OTHER, note="no")
    assert denied["effect"] == "deny" and denied["host"] == OTHER and denied["resource_id"] == box.id, denied
    assert status(OTHER) == "403"
    assert denied["id"] in [rule["id"] for rule in box.network.rules()]
    box.network.remove_rule(denied["id"])
    assert status(OTHER) == "200"

    policy = user.network.create_policy(name="strict", resource_id=box.id, resource_type="sandbox")
    assert policy["mode"] == "enforce" and policy["default_effect"] == "deny", policy
    assert status(HOST) == "403"
    box.network.observe(policy_id=policy["id"])
    assert status(HOST) == "200"
    box.network.lockdown(policy_id=policy["id"])
    assert status(HOST) == "403"
    assert policy["id"] in [item["id"] for item in box.network.policies()]
    wanted = box.network.suggestions(since="1h")
    assert HOST in [item["host"] for item in wanted], wanted
    allowed = box.network.allow(HOST, methods=["GET"], path_glob="/v1/*", note="the model")
    assert allowed["methods"] == ["GET"] and allowed["path_glob"] == "/v1/*", allowed
    ask = f"curl -skS -o /dev/null -w '%{{http_code}}' https://{HOST}"
    assert box.exec.run(f"{ask}/v1/models").stdout != "403"
    assert box.exec.run(f"{ask}/v2/models").stdout == "403"
    assert box.exec.run(f"{ask}/v1/models -X POST").stdout == "403"
    user.network.remove_rule(allowed["id"])
    assert status(HOST) == "403"
    user.network.update_policy(policy["id"], name="renamed", mode="audit_only")
    assert status(HOST) == "200"
    with raises(miosa.ValidationError, status=422):
        box.network.allow("not a host")
    with raises(miosa.NotFoundError, "NOT_FOUND"):
        user.network.remove_rule("nothing")
