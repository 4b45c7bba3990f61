-- Snapshots of sandboxes' disks. `below` are the snapshots one lies over (JSON list of ids, topmost first);
-- `manifest` is what a sandbox made from it is given beside the files (JSON). A `making` one is nobody's yet;
-- one that is `gone` is listed nowhere and kept only as long as something lies over it.
create table snapshots (
    id text primary key,
    tenant_id text not null references tenants(id),
    workspace_id text,
    sandbox_id text not null references sandboxes(id),
    kind text not null,
    state text not null,
    comment text,
    below text not null,
    size_bytes bigint not null,
    held_ms bigint not null,
    manifest text not null,
    created_at bigint not null,
    expires_at bigint
);
create index snapshots_tenant on snapshots(tenant_id, created_at);
create index snapshots_sandbox on snapshots(sandbox_id, created_at);
-- Snapshots a sandbox's disk lies over, which of its disks counts, and what it was made from.
alter table sandboxes add column below text not null default '[]';
alter table sandboxes add column disk_epoch bigint not null default 0;
alter table sandboxes add column snapshot_id text;
