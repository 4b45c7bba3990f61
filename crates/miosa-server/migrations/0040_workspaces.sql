-- Workspaces: groups of a tenant's sandboxes. A sandbox names its workspace by id.
create table workspaces (
    id text primary key,
    tenant_id text not null references tenants(id),
    name text not null,
    slug text not null,
    description text,
    metadata text not null,
    external_workspace_id text,
    external_user_id text,
    created_at bigint not null,
    updated_at bigint not null,
    unique (tenant_id, slug),
    unique (tenant_id, external_workspace_id)
);
