-- The e-mail addresses of a commit's author and committer, in lower case: the way from people to commits.
create table commit_person (
    person text{binary} not null,
    repository text not null,
    commit_id text not null,
    ledger_index bigint not null,
    primary key (person, repository, commit_id)
){compact};

create index commit_person_entry on commit_person (ledger_index);
