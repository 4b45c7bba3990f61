"""Who calls, for which tenant, and what was used."""

import os

import miosa
from _support import client, raises, sandbox, unique

user = client()
me = user.account.whoami()
assert me["tenant"]["slug"] and me["tenant"]["id"] and me["api_key_prefix"] == os.environ["MIOSA_API_KEY"][:12], me
assert me["scopes"] == ["*"], me
assert user.tenant.current()["slug"] == me["tenant"]["slug"]
assert user.account.whoami(tenant=me["tenant"]["slug"])["tenant"]["id"] == me["tenant"]["id"]
with raises(miosa.PermissionError, "INVALID_TENANT_CONTEXT", 403):
    user.account.whoami(tenant="somebody-else")
assert user.with_tenant(me["tenant"]["id"]).sandboxes.list() is not None
assert user.get_balance().balance == 0

person = unique("person")
with sandbox(user, external_user_id=person, cpu_count=1, memory_mb=512, disk_size_mb=1024) as box:
    box.exec.run("sleep 1.2")
    usage = user.usage.get(external_user_id=person, period="7d")
    assert usage["period_start"] and usage["period_end"], usage
    [row] = usage["results"]
    assert row["sandboxes"] == 1 and row["runtime_sec"] >= 1 and row["provisioned_vcpu_ms"] >= 1000, row
    grouped = user.usage.get(group_by="external_user_id")
    assert person in [row["external_user_id"] for row in grouped["results"]], grouped
    assert user.usage.current()["totals"]["sandboxes"] >= 1
    assert user.usage.report()["period_start"]
    sessions = user.usage.sessions(external_user_id=person)
    assert [item["sandbox_id"] for item in sessions] == [box.id], sessions
assert user.usage.get(external_user_id=person)["results"][0]["sandboxes"] == 1, "also of what is gone"
with raises(miosa.ValidationError, status=422):
    user.usage.get(group_by="colour")
