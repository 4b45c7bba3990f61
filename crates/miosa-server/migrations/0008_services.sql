-- How a service was started, so that a restart is the same. `env` is a JSON object.
create table services (
    sandbox_id text not null references sandboxes(id),
    name text not null,
    command text not null,
    cwd text,
    env text not null,
    user_name text,
    started_at bigint not null,
    primary key (sandbox_id, name)
);
