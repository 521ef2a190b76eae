-- Teams and accounts, as their sources state them. Each change is an entry; the newest row of a source before a bound in
-- the log is what it stated then. change is found, changed, renamed, gone or merged; into_team is where a merged one went.
create table team_revision (
    source text not null,
    team_id text not null,
    ledger_index bigint not null,
    change text not null,
    into_team text not null,
    spelled text not null,
    team_name text not null,
    aliases text not null,
    observed_at text not null,
    primary key (team_id, source, ledger_index)
){compact};

-- Which names lead to which team from an entry on. held is 1 where the name is the team's, 0 where it was before, 2 where
-- it was another's that went into this one.
create table team_name (
    name text not null,
    source text not null,
    team_id text not null,
    ledger_index bigint not null,
    held bigint not null,
    primary key (name, source, team_id, ledger_index)
){compact};
create index team_name_source on team_name (source, team_id);

-- Members by uid, as a JSON array: each entry has all of a team's. A row goes with the body of its entry.
create table team_members (
    source text not null,
    team_id text not null,
    ledger_index bigint not null,
    members text not null,
    primary key (source, team_id, ledger_index)
){compact};
create index team_members_entry on team_members (ledger_index);

create table account_revision (
    account_id text not null,
    source text not null,
    ledger_index bigint not null,
    change text not null,
    active bigint not null,
    body text not null,
    observed_at text not null,
    primary key (account_id, source, ledger_index)
){compact};

-- From which entry on a source had been read whole.
create table organisation_read (
    source text not null,
    ledger_index bigint not null,
    teams bigint not null,
    accounts bigint not null,
    observed_at text not null,
    primary key (source, ledger_index)
){compact};

-- When the newest reading of a source began, when the last whole one did, null before the first, and the failure since, if
-- any. No evidence by itself and in no entry, as `listing` is not.
create table organisation_source (
    source text primary key,
    begun_at bigint not null,
    read_at bigint,
    failed_at bigint,
    failure text not null,
    notes text not null
){compact};
