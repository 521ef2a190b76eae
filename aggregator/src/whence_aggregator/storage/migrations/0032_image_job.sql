-- Which job of a CI system pushed an image, as its token named it: the first that brought these bytes to a repository.
create table image_job (
    image text not null,
    job text not null,
    source_url text not null,
    commit_id text not null,
    pushed_at text not null,
    ledger_index bigint not null,
    primary key (image)
);
