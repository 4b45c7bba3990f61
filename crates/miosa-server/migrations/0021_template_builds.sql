-- One row per attempt to build an image; its output is a file beside the layers.
create table template_builds (
    id text primary key,
    tenant_id text not null,
    template_id text not null,
    image_id text not null,
    status text not null,
    error text,
    created_at bigint not null,
    finished_at bigint
);
create index template_builds_template on template_builds(template_id, created_at);
create index template_builds_image on template_builds(image_id, created_at);
