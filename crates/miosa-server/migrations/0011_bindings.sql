-- `state`: `attaching` until the broker has it (known to policies, hidden from commands), `live`, and
-- `detaching` until the broker no longer has it (hidden from both).
create table bindings (
    id text primary key,
    tenant_id text not null,
    sandbox_id text not null references sandboxes(id),
    connector_id text not null references connectors(id),
    env_name text not null,
    placeholder text not null unique,
    state text not null,
    created_at bigint not null
);
create unique index bindings_env on bindings(sandbox_id, env_name);
create index bindings_connector on bindings(connector_id);
