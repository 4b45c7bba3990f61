-- Ids are given by the one server of this database, counting up.
create table events (
    id bigint primary key,
    tenant_id text not null,
    sandbox_id text not null,
    kind text not null,
    data text not null,
    created_at bigint not null
);
create index events_sandbox on events(sandbox_id, id);
create index events_created on events(created_at);
