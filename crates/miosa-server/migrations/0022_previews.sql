-- Ports of sandboxes that are served under a host name.
create table previews (
    id text primary key,
    tenant_id text not null references tenants(id),
    sandbox_id text not null references sandboxes(id),
    port bigint not null,
    name text,
    visibility text not null,
    created_at bigint not null,
    unique (sandbox_id, port)
);
