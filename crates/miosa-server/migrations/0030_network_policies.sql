-- Where sandboxes may go. `resource_type` is `tenant` (with an empty `resource_id`), `workspace` or
-- `sandbox`; a sandbox is ruled by all three.
create table network_policies (
    id text primary key,
    tenant_id text not null references tenants(id),
    resource_type text not null,
    resource_id text not null,
    name text not null,
    description text,
    mode text not null,
    default_effect text not null,
    created_at bigint not null,
    updated_at bigint not null
);
create index network_policies_of on network_policies(tenant_id, resource_type, resource_id);

-- `methods` is JSON. A rule of a policy has that policy's resource.
create table network_rules (
    id text primary key,
    tenant_id text not null references tenants(id),
    policy_id text references network_policies(id) on delete cascade,
    resource_type text not null,
    resource_id text not null,
    host text not null,
    effect text not null,
    methods text not null,
    path_glob text,
    note text,
    created_at bigint not null
);
create index network_rules_of on network_rules(tenant_id, resource_type, resource_id);
