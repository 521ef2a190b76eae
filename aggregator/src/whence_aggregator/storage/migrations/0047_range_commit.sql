-- Which commits a later commit contains, as far as ranges were collected: `tip` is an end of a range, and `commit_id` one of
-- the commits of its side, or where both sides meet. The way from a commit to the versions that came after it.
create table range_commit (
    commit_id text not null,
    repository text not null,
    tip text not null,
    ledger_index bigint not null,
    primary key (commit_id, repository, tip)
){compact};
create index range_commit_entry on range_commit (ledger_index);
