-- The numbers by which fullstop.'s interface names violations and whitelisting rules, given in the order of the log. kind is
-- `violation` or `exemption`; key is RULE~KIND~ID of a verdict's subject, or what a report or a rule is by its own entry.
create table fullstop_number (
    number {key},
    kind text not null,
    key text{binary} not null,
    unique (key, kind)
);

-- Violations that other programs reported through that interface. instance_id is empty where the report names none; meta_info
-- is JSON.
create table fullstop_report (
    number {key},
    ledger_index bigint not null,
    account_id text not null,
    region text not null,
    event_id text not null,
    instance_id text not null,
    violation_type text not null,
    meta_info text not null,
    username text not null,
    application_id text not null,
    application_version text not null,
    recorded_at text not null,
    recorded_by text not null
);
create index fullstop_report_account on fullstop_report (account_id);

-- The newest comment by which a violation was resolved.
create table fullstop_resolution (
    number {key},
    ledger_index bigint not null,
    comment text not null,
    recorded_at text not null,
    recorded_by text not null
);

-- Whitelisting rules. Empty means any; one ends by itself at ends_at, or earlier if somebody ended it.
create table fullstop_exemption (
    number {key},
    ledger_index bigint not null,
    violation_type text not null,
    account_id text not null,
    application_id text not null,
    application_version text not null,
    reason text not null,
    recorded_at text not null,
    recorded_by text not null,
    ends_at text not null,
    changed_at text not null,
    changed_by text not null
);

-- What instances sent without a signature. document is the masked user data, empty for other logs.
create table instance_log (
    instance_id text not null,
    account_id text not null,
    log_type text not null,
    boot_time text not null,
    digest text not null,
    region text not null,
    ledger_index bigint not null,
    size bigint not null,
    document text not null,
    recorded_at text not null,
    primary key (instance_id, account_id, log_type, boot_time, digest)
){compact};
create index instance_log_recorded on instance_log (account_id, recorded_at);

-- The contents of audit logs, by digest. Not derived from the log, which has the digests.
create table instance_log_content (
    digest text primary key,
    content bytea not null,
    recorded_at text not null
){compact};
