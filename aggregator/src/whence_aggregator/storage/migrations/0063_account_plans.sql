-- Plans of accounts that were applied, as their reports state: one row for each account of a report. report is the digest
-- of the report, by which a second copy of it adds nothing; changed and failed count changes that were and were not made.
create table account_plan (
    account_id text not null,
    ledger_index bigint not null,
    plan text not null,
    report text not null,
    begun_at text not null,
    ended_at text not null,
    applied_by text not null,
    changed bigint not null,
    failed bigint not null,
    error text not null,
    primary key (account_id, ledger_index)
){compact};
create unique index account_plan_report on account_plan (report, account_id);
