-- Violations as earlier steps left them, to show them as of an earlier time: each row held before the entry until_index.
create table violation_past (
    id text not null,
    number bigint not null,
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
    ledger_index bigint not null,
    until_index bigint not null,
    primary key (id, ledger_index)
){compact};
create index violation_past_until on violation_past (until_index);

-- Lists keep violations in memory, and read what moved since.
create index violation_moved on violation (ledger_index);
