-- mint: applications whose credentials are minted, and the generations of their credentials that have not ended or
-- ended last. credentials, buckets, clusters and scopes are JSON arrays. revision grows with each write of a row, so
-- that of two writers one fails. synced: whether the provider knows what is written here. Generations that were intended
-- before renewal_at are renewed, and those before revoked_at end without waiting for their readers. missing_since and
-- missing_seen: since when, and how often, the application was missing from Kio. deleted_at: the application is to be
-- deleted at the provider and in the buckets; gone_at: it is, and the row is kept as a tombstone. failures, a JSON object by
-- step: the last failed attempt of each step that has not succeeded since.
create table mint_application (
    application_id text not null primary key,
    revision bigint not null,
    team_id text not null,
    username text not null,
    confidential bigint not null,
    provider text not null,
    credentials text not null,
    redirect_url text not null,
    buckets text not null,
    clusters text not null,
    scopes text not null,
    client_id text not null,
    last_modified text not null,
    last_synced text not null,
    synced bigint not null,
    renewal_at text not null,
    renewal_reason text not null,
    revoked_at text not null,
    missing_since text not null,
    missing_seen bigint not null,
    deleted_at text not null,
    deleted_reason text not null,
    gone_at text not null,
    failures text not null,
    bucket_errors bigint not null
);

-- sealed holds the secret until it is committed, and the provider's secret handle until the generation has ended, both
-- under mint's key; empty afterwards. handle is JSON. written maps buckets to VersionIds, as JSON; an empty VersionId:
-- the bucket may hold it. asked_at: when the provider was last asked to make it. From verified_at on it is published, and
-- never ended before it is committed.
create table mint_generation (
    application_id text not null,
    kind text not null,
    generation text not null,
    revision bigint not null,
    provider text not null,
    phase text not null,
    sealed text not null,
    sealed_handle text not null,
    handle text not null,
    mac text not null,
    written text not null,
    intended_at text not null,
    asked_at text not null,
    verified_at text not null,
    published_at text not null,
    committed_at text not null,
    ending_at text not null,
    ended_at text not null,
    end_reason text not null,
    primary key (application_id, kind, generation)
);
create index mint_generation_phase on mint_generation (phase, application_id);
create index mint_application_deleted on mint_application (deleted_at);
create index mint_application_client on mint_application (client_id);

-- Steps of generations, derived from the log's entries `credential`: one row for each generation.
create table credential (
    application_id text not null,
    kind text not null,
    generation text not null,
    ledger_index bigint not null,
    provider text not null,
    step text not null,
    mac text not null,
    written text not null,
    intended_at text not null,
    published_at text not null,
    committed_at text not null,
    ended_at text not null,
    primary key (application_id, kind, generation)
);
create index credential_of_application on credential (application_id, committed_at);
