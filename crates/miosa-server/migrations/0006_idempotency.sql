-- `status` is null while the first request is under way.
create table idempotency (
    tenant_id text not null,
    idempotency_key text not null,
    request_hash text not null,
    status bigint,
    content_type text,
    body text,
    created_at bigint not null,
    primary key (tenant_id, idempotency_key)
);
create index idempotency_created on idempotency(created_at);
