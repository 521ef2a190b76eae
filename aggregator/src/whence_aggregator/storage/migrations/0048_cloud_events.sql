-- CloudTrail's events that matter, each an entry of the log. By account and event id: a second copy adds nothing, however
-- late it comes, and no account can take the id of another one's event. event_at is by CloudTrail, in milliseconds; doer is
-- who did it, as JSON.
create table cloud_event (
    account_id text not null,
    event_id text not null,
    ledger_index bigint not null,
    region text not null,
    name text not null,
    source text not null,
    event_at bigint not null,
    doer text not null,
    detail text not null,
    primary key (account_id, event_id)
){compact};
create index cloud_event_entry on cloud_event (ledger_index);
create index cloud_event_of_trails on cloud_event (account_id, region, ledger_index) where source = 'cloudtrail.amazonaws.com';

-- Which instances an event touched. They count for an instance of the event's own account only.
create table cloud_event_instance (
    instance_id text not null,
    account_id text not null,
    ledger_index bigint not null,
    event_at bigint not null,
    name text not null,
    primary key (instance_id, account_id, ledger_index)
){compact};

-- Whether the log files of an account and region are what CloudTrail delivered, by its digest files, from an entry on.
create table trail_verification (
    account_id text not null,
    region text not null,
    chain text not null,
    ledger_index bigint not null,
    state text not null,
    reason text not null,
    observed_at text not null,
    primary key (account_id, region, chain, ledger_index)
){compact};

-- The rest is no evidence and in no entry: objects that were read whole, dropped after 14 days.
create table trail_object (
    bucket text not null,
    object_key text not null,
    etag text not null,
    digest text not null,
    read_at bigint not null,
    primary key (bucket, object_key)
){compact};
create index trail_object_read on trail_object (read_at);

-- Messages, objects and records that cannot be used, each once: id is a digest of what it is and why.
create table trail_dead (
    id text primary key,
    sort text not null,
    place text not null,
    number bigint not null,
    body text not null,
    code text not null,
    reason text not null,
    account_id text not null,
    region text not null,
    dead_at bigint not null
);
create index trail_dead_at on trail_dead (dead_at, id);

-- How far each account and region was read: newest_at is the newest time of any event, read_at when a file was read last,
-- failed_at and failure the failure since; milliseconds.
create table trail_coverage (
    account_id text not null,
    region text not null,
    newest_at bigint,
    read_at bigint,
    failed_at bigint,
    failure text not null,
    primary key (account_id, region)
){compact};

-- Each queue, as it was when it was asked last: messages that wait, and when the oldest one that was received was sent.
create table trail_queue (
    url text primary key,
    region text not null,
    asked_at bigint,
    waiting bigint not null,
    oldest_at bigint,
    failed_at bigint,
    failure text not null
){compact};

-- Digest files as verified, by account, region and chain. state: valid, invalid or missing. previous_place is s3://BUCKET/KEY,
-- empty where the chain begins. files, files_missing and files_invalid count its log files.
create table trail_digest (
    bucket text not null,
    object_key text not null,
    account_id text not null,
    region text not null,
    chain text not null,
    starts_at bigint not null,
    ends_at bigint not null,
    content_digest text not null,
    previous_place text not null,
    previous_hash text not null,
    previous_signature text not null,
    state text not null,
    reason text not null,
    files bigint not null,
    files_missing bigint not null,
    files_invalid bigint not null,
    verified_at bigint not null,
    primary key (bucket, object_key)
){compact};
create index trail_digest_chain on trail_digest (account_id, region, chain, verified_at);
create index trail_digest_previous on trail_digest (previous_place);

-- Public keys that CloudTrail signs digest files with, by region and fingerprint. They are kept for years.
create table trail_key (
    region text not null,
    fingerprint text not null,
    content bytea not null,
    fetched_at bigint not null,
    primary key (region, fingerprint)
){compact};
