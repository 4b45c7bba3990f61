"""Templates: what there is, one of them, its builds, checking a build spec."""

import miosa
from _support import client, raises

user = client()
for listed in (user.sandbox_templates.list(), user.sandboxes.list_templates()):
    items = listed["data"] if isinstance(listed, dict) else listed
    known = {item["id"]: item for item in items}
    assert {"miosa-sandbox", "nextjs"} <= set(known), sorted(known)
default = user.sandboxes.get_template("miosa-sandbox")
assert default.get("data", default)["id"] == "miosa-sandbox", default
next_js = user.sandbox_templates.get("nextjs")
next_js = next_js.get("data", next_js)
assert next_js["preview_port"] == 3000 and next_js["workdir"] == "/workspace", next_js
catalog = user.templates.catalog()
assert catalog, catalog
builds = user.sandboxes.list_template_builds("miosa-sandbox")
assert builds is not None
assert user.sandbox_templates.build_spec_schema()
assert user.sandbox_templates.validate({"from": "miosa-sandbox", "steps": [{"run": "true"}]})
with raises(miosa.NotFoundError, "TEMPLATE_NOT_FOUND"):
    user.sandboxes.get_template("nothing")
with raises(miosa.NotFoundError, "TEMPLATE_NOT_FOUND"):
    user.sandboxes.create("nothing")
