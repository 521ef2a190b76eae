-- Violations: one for each rule and group of subjects that broke it, by its newest step; each step is an entry of the log.
-- kind and subject name the group. since is when it opened or reopened, last_seen when the fault was seen last by then (while it
-- is open and confirmed, it is seen now), unconfirmed_since since when that is not known. exemption is empty without one.
-- detail is JSON: where it is from, title, remedy, and the callers whose token caused it. Numbers are given in the order of the
-- log; fullstop.'s interface names violations, and exemptions, by theirs.
create table violation (
    id text primary key,
    number bigint not null unique,
    rule text not null,
    kind text not null,
    subject text not null,
    application_id text not null,
    account_id text not null,
    team text not null,
    severity bigint not null,
    state text not null,
    first_seen text not null,
    since text not null,
    last_seen text not null,
    unconfirmed_since text not null,
    reason text not null,
    reopened bigint not null,
    acknowledged_at text not null,
    acknowledged_by text not null,
    comment text not null,
    exemption text not null,
    exempt_until text not null,
    detail text not null,
    ledger_index bigint not null
){compact};
create index violation_rule on violation (rule, state);
create index violation_exempted on violation (exemption) where exemption <> '';

-- The steps of a violation, to show its history.
create table violation_step (
    violation text not null,
    ledger_index bigint not null,
    step text not null,
    at text not null,
    done_by text not null,
    comment text not null,
    exemption text not null,
    primary key (violation, ledger_index)
){compact};

-- Exemptions: a rule, and the scope in which it is exempted; an empty column of the scope means any. It covers no violation
-- of a severity below severity_min, which is worse. ended_at is empty until
-- it is withdrawn.
create table exemption (
    id text primary key,
    number bigint not null unique,
    rule text not null,
    application_id text not null,
    version text not null,
    account_id text not null,
    ami text not null,
    team text not null,
    severity_min bigint not null,
    granted_at text not null,
    granted_by text not null,
    reason text not null,
    until text not null,
    ended_at text not null,
    ended_by text not null,
    ledger_index bigint not null
){compact};

-- Which verdicts an entry moved, so that the violations that they belong to are found at once.
create index verdict_entry on verdict (ledger_index);
create index violation_application on violation (application_id) where application_id <> '';
