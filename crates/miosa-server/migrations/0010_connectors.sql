-- `sealed` is the value, locked for the broker (JSON of `broker::Sealed`); nothing here opens it.
-- `owner` is a tenant, or `platform` for what the operator supplies.
create table connectors (
    id text primary key,
    owner text not null,
    uid text not null,
    provider text not null,
    scope text not null,
    workspace_id text,
    external_user_id text,
    external_workspace_id text,
    version bigint not null,
    sealed text not null,
    created_at bigint not null,
    updated_at bigint not null
);
create unique index connectors_uid on connectors(owner, uid);
