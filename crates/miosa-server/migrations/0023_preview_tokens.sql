-- Tokens that open private previews, as hashes. Without a preview a token is for all ports of its sandbox.
create table preview_tokens (
    hash text primary key,
    sandbox_id text not null references sandboxes(id),
    preview_id text references previews(id) on delete cascade,
    prefix text not null,
    created_at bigint not null,
    expires_at bigint not null
);
create index preview_tokens_sandbox on preview_tokens(sandbox_id);
