-- What was written or ordered of applications whose credentials are minted, derived from the log's entries `credential` of
-- version 2. asked_by: the caller; empty: mint itself. application: what was written, as JSON; empty if nothing was.
create table credential_change (
    ledger_index bigint not null primary key,
    application_id text not null,
    step text not null,
    changed_at text not null,
    asked_by text not null,
    reason text not null,
    application text not null
);
create index credential_change_of on credential_change (application_id, ledger_index);
