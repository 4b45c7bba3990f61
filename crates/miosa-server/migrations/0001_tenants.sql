create table tenants (
    id text primary key,
    name text not null,
    slug text not null unique,
    created_at bigint not null
);
