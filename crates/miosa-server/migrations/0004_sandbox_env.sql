create table sandbox_env (
    sandbox_id text not null references sandboxes(id),
    name text not null,
    value text not null,
    updated_at bigint not null,
    primary key (sandbox_id, name)
);
