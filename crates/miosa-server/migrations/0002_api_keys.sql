-- Only the SHA-256 of a key is stored; a lookup by it is the comparison.
create table api_keys (
    id text primary key,
    tenant_id text not null references tenants(id),
    name text not null,
    key_hash text not null unique,
    key_prefix text not null,
    scopes text not null,
    rate_limit_rpm bigint not null,
    status text not null,
    created_at bigint not null
);
create index api_keys_tenant on api_keys(tenant_id);
