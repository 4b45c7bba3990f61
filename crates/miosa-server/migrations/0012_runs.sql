-- `checkpoint` (JSON) is how far the output was read, written together with what it led to, so that a
-- run goes on after a restart of the server.
create table runs (
    id text primary key,
    tenant_id text not null,
    sandbox_id text not null,
    runner text not null,
    status text not null,
    instruction text not null,
    model text,
    cwd text not null,
    connector text,
    process_id text,
    checkpoint text not null,
    output text not null,
    stderr text not null,
    exit_code bigint,
    error text,
    session_id text,
    cancel_requested bigint not null,
    metadata text not null,
    created_at bigint not null,
    started_at bigint,
    finished_at bigint
);
create index runs_tenant on runs(tenant_id, created_at);
create index runs_sandbox on runs(sandbox_id, status);
create index runs_status on runs(status);

create table run_events (
    run_id text not null references runs(id),
    id bigint not null,
    kind text not null,
    status text not null,
    message text not null,
    metadata text not null,
    created_at bigint not null,
    primary key (run_id, id)
);

-- Standard output and error as text, in pieces as they came.
create table run_output (
    run_id text not null references runs(id),
    seq bigint not null,
    stream text not null,
    piece text not null,
    primary key (run_id, seq)
);
