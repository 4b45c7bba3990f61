-- `image` is the template's content as it was when the sandbox was made (JSON): its disk lies over
-- exactly these layers, whatever becomes of the template.
create table sandboxes (
    id text primary key,
    tenant_id text not null references tenants(id),
    slug text not null,
    name text,
    template_id text not null,
    image text not null,
    state text not null,
    size text not null,
    cpu_count bigint not null,
    memory_mb bigint not null,
    disk_size_mb bigint not null,
    always_on bigint not null,
    persistent bigint not null,
    auto_start bigint not null,
    timeout_sec bigint not null,
    idle_timeout_sec bigint,
    metadata text not null,
    tags text not null,
    workspace_id text,
    external_user_id text,
    external_workspace_id text,
    external_project_id text,
    generation bigint not null,
    policy_generation bigint not null,
    boot_ms bigint,
    runtime_ms bigint not null,
    created_at bigint not null,
    ready_at bigint,
    started_at bigint,
    expires_at bigint,
    last_active_at bigint not null,
    destroyed_at bigint
);
create unique index sandboxes_name on sandboxes(tenant_id, name) where name is not null and state <> 'destroyed';
create unique index sandboxes_slug on sandboxes(slug) where state <> 'destroyed';
create index sandboxes_state on sandboxes(state);
create index sandboxes_tenant on sandboxes(tenant_id, created_at);
