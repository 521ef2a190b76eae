-- Images by the digests of their layers: those of the manifest, which are compressed, and those of the configuration.
create table image_layer (
    layer text{binary} not null,
    image_digest text{binary} not null,
    ledger_index bigint not null,
    primary key (layer, image_digest)
){compact};

-- What leads to a commit by its reviews: the numbers (`#12`), and the logins of authors and reviewers in lower case.
create table review_name (
    name text{binary} not null,
    repository text not null,
    commit_id text not null,
    ledger_index bigint not null,
    primary key (name, repository, commit_id)
){compact};
create index review_name_commit on review_name (commit_id, repository);

create index image_manifest_pusher on image_manifest (lower(pushed_by));
create index approval_user on approval (lower(user_id));
