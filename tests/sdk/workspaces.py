"""Workspaces: make, find again by one's own id, change, see what is in them, delete."""

import miosa
from _support import client, raises, sandbox, unique

user = client()
name, outside = unique("team"), unique("ext")
made = user.workspaces.create(name, description="first", metadata={"a": 1}, external_workspace_id=outside)
assert made.id and made.name == name and made.slug and made.tenant_id and not made.reused, made
assert made.description == "first" and made.metadata == {"a": 1} and made.created_at, made
assert user.workspaces.create("other words", external_workspace_id=outside).id == made.id
assert user.workspaces.create("other words", external_workspace_id=outside).reused is True
with raises(miosa.WorkspaceNameExistsError, "WORKSPACE_NAME_EXISTS", 409):
    user.workspaces.create(name)
twin = user.workspaces.create(name, allow_duplicate_name=True)
assert twin.id != made.id and twin.slug != made.slug
assert user.workspaces.get(made.id).name == name
assert made.id in [item.id for item in user.workspaces.list()]
renamed = user.workspaces.update(made.id, name=unique("renamed"), description="second", metadata={"b": 2})
assert renamed.description == "second" and renamed.metadata == {"b": 2} and renamed.name != name, renamed

with sandbox(user, workspace_id=made.id) as box:
    assert box.workspace_id == made.id and box.workspace_name == renamed.name, box.data
    with raises(miosa.MiosaError, status=409):
        user.workspaces.delete(made.id)
user.workspaces.delete(made.id)
user.workspaces.delete(twin.id)
with raises(miosa.NotFoundError, "NOT_FOUND"):
    user.workspaces.get(made.id)
