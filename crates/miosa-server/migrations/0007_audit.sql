-- An index over the broker's audit file, which is the record itself; `body` is its line.
create table audit (
    id text primary key,
    tenant_id text not null,
    resource_id text not null,
    at_ms bigint not null,
    action text not null,
    effect text not null,
    code text,
    host text not null,
    body text not null
);
create index audit_tenant on audit(tenant_id, at_ms);
create index audit_resource on audit(resource_id, at_ms);

-- How far the file has been read.
create table audit_offset (
    file text primary key,
    read_bytes bigint not null
);
