-- Findings of scanners, one row for each change of one: what it states, from entry ledger_index up to until_index. account_id
-- is empty where the scanner names no account. closed is `stated` (resolved, archived or deleted by the scanner) or `absent`
-- (not in a later complete report), else empty. since is when result and closed became what they are; opened how often it
-- became a fault; body what else the scanner states. Instants are those of the scanner.
create table finding (
    account_id text not null,
    product text{binary} not null,
    uid text{binary} not null,
    ledger_index bigint not null,
    until_index bigint not null,
    check_id text not null,
    severity bigint not null,
    result text not null,
    closed text not null,
    suppressed bigint not null,
    vulnerability bigint not null,
    region text not null,
    instance_id text not null,
    image_digest text not null,
    application_id text not null,
    observed_at text not null,
    first_seen text not null,
    since text not null,
    opened bigint not null,
    body text not null,
    primary key (account_id, product, uid, ledger_index)
){compact};
create index finding_image on finding (image_digest) where image_digest <> '';
create index finding_instance on finding (instance_id) where instance_id <> '';

-- When a scanner confirmed a finding that had not changed, in a report that was not complete.
create table finding_seen (
    account_id text not null,
    product text{binary} not null,
    uid text{binary} not null,
    ledger_index bigint not null,
    observed_at text not null,
    primary key (account_id, product, uid, ledger_index)
){compact};

-- Reports of a scanner about an account, or about one image in it: image_digest is empty for the rest of the account. A
-- complete one confirms each finding of its account or image that it did not close.
create table finding_report (
    account_id text not null,
    product text{binary} not null,
    image_digest text not null,
    ledger_index bigint not null,
    observed_at text not null,
    complete bigint not null,
    primary key (account_id, product, image_digest, ledger_index)
){compact};

create index finding_report_newest on finding_report (account_id, product, observed_at);
create index finding_report_complete on finding_report (account_id, product, image_digest, observed_at) where complete = 1;

create index version_digest_image on version_digest (digest);
