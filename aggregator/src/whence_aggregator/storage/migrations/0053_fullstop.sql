-- Violations that other programs reported through fullstop.'s interface, beside their rows in `violation`. meta_info is JSON.
create table fullstop_report (
    violation text primary key,
    ledger_index bigint not null,
    account_id text not null,
    event_id text not null,
    meta_info text not null,
    username text not null,
    recorded_by text not null
){compact};
create index fullstop_report_account on fullstop_report (account_id);

-- What instances sent without a signature. document is the masked user data, empty for other logs; application_id and
-- application_version are those that it states.
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
    application_id text not null,
    application_version text not null,
    recorded_at text not null,
    primary key (instance_id, account_id, log_type, boot_time, digest)
){compact};
create index instance_log_recorded on instance_log (account_id, recorded_at);
create index instance_log_application on instance_log (application_id) where application_id <> '';

-- The contents of audit logs, by digest. Not derived from the log, which has the digests.
create table instance_log_content (
    digest text primary key,
    content bytea not null,
    recorded_at text not null
){compact};
