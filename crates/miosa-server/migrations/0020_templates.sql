-- Templates of tenants; those that are shipped or in the operator's folder are files.
create table templates (
    tenant_id text not null references tenants(id),
    id text not null,
    name text not null,
    description text not null,
    spec text not null,
    created_at bigint not null,
    primary key (tenant_id, id)
);
