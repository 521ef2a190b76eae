-- The registry front: what was pushed. image is the config's digest, child the image that is meant where an index is one.
create table image_manifest (
    repository text not null,
    digest text not null,
    team text not null,
    media_type text not null,
    size bigint not null,
    image text not null,
    artifact_type text not null,
    subject text not null,
    child text not null,
    annotations text not null,
    pushed_at text not null,
    pushed_by text not null,
    ledger_index bigint not null,
    primary key (repository, digest)
);
create index image_manifest_subject on image_manifest (repository, subject, digest) where subject <> '';
create index image_manifest_digest on image_manifest (digest);
create index image_manifest_image on image_manifest (image);

create table image_tag (
    repository text not null,
    tag text not null,
    digest text not null,
    team text not null,
    created_at text not null,
    created_by text not null,
    ledger_index bigint not null,
    primary key (repository, tag)
);
create index image_tag_team on image_tag (team, repository);
create index image_tag_digest on image_tag (digest);

create table image_blob (
    digest text primary key,
    size bigint not null
);

-- Repositories that hold anything, if only a blob that no manifest names yet: a list for clients, no evidence.
create table image_place (
    repository text primary key
);

-- Which digests a reference by tag was ever seen to name, by whoever saw it: a second one means that the tag moved.
create table tag_digest (
    reference text not null,
    digest text not null,
    ledger_index bigint not null,
    primary key (reference, digest)
);

-- Images by what all their layers are together, so that a base image is known in those that stand on it.
create table image_chain (
    chain text not null,
    image_digest text not null,
    primary key (chain, image_digest)
);
