-- Types are chosen to mean the same to SQLite and PostgreSQL. Instants are text, RFC 3339 in UTC with milliseconds,
-- so that they sort. account_id leads what grows with accounts.

-- The ledger. Append-only; body is verbatim; leaf_hash is RFC 6962's, for the Merkle tree that a later migration adds.
create table entry (
    ledger_index bigint primary key,
    kind text not null,
    recorded_at text not null,
    body bytea not null,
    digest text not null,
    leaf_hash bytea not null
);
create index entry_digest on entry (digest);

create table challenge (
    nonce text primary key,
    expires_at text not null
);

create table enrolment (
    instance_id text not null,
    number bigint not null,
    key_id text not null unique,
    public_key text not null,
    account_id text not null,
    region text not null,
    level text not null,
    enrolled_at text not null,
    ledger_index bigint not null,
    identity text not null,
    primary key (instance_id, number)
);

create table statement (
    digest text primary key,
    ledger_index bigint not null,
    account_id text not null,
    region text not null,
    instance_id text not null,
    enrolment bigint not null,
    sequence bigint not null,
    cause text not null,
    observed_at text not null,
    recorded_at text not null,
    application_id text,
    application_version text,
    user_data_digest text,
    image_digest text
);
create unique index statement_order on statement (instance_id, enrolment, sequence);
create index statement_image on statement (image_digest, instance_id);
create index statement_application on statement (application_id, instance_id);
create index statement_user_data on statement (user_data_digest, instance_id);

-- The newest statement of each instance: a projection, rebuilt from the ledger.
create table instance_state (
    instance_id text primary key,
    account_id text not null,
    region text not null,
    enrolment bigint not null,
    sequence bigint not null,
    statement_digest text not null,
    ledger_index bigint not null,
    cause text not null,
    observed_at text not null,
    application_id text,
    application_version text,
    user_data_digest text,
    image_digest text
);
create index instance_state_image on instance_state (image_digest);
create index instance_state_application on instance_state (application_id);
create index instance_state_account on instance_state (account_id, instance_id);
create index instance_state_user_data on instance_state (user_data_digest);

create table last_seen (
    instance_id text primary key,
    seen_at text not null,
    state_digest text not null
);
create index last_seen_at on last_seen (seen_at);

create table application_revision (
    application_id text not null,
    revision bigint not null,
    recorded_at text not null,
    recorded_by text not null,
    body text not null,
    ledger_index bigint not null,
    primary key (application_id, revision)
);

-- What collectors found out, each a ledger entry. The newest of a kind and subject counts.
create table fact (
    kind text not null,
    subject text not null,
    ledger_index bigint not null,
    observed_at text not null,
    outcome text not null,
    value text not null,
    reason text not null,
    primary key (kind, subject, ledger_index)
);

-- Which commit an image says it was built from, whoever read it: the way from commits back to instances.
create table image_commit (
    commit_id text not null,
    image_digest text not null,
    repository text not null,
    primary key (commit_id, image_digest, repository)
);
create index image_commit_image on image_commit (image_digest);

-- Words of commit messages that look like tickets: the way from tickets back to commits.
create table commit_word (
    word text not null,
    repository text not null,
    commit_id text not null,
    primary key (word, repository, commit_id)
);

-- Work that waits: durable, due at a time, with the reason of the last failure.
create table task (
    kind text not null,
    subject text not null,
    due_at text not null,
    attempts bigint not null,
    reason text not null,
    primary key (kind, subject)
);
create index task_due on task (due_at);

create table verdict (
    instance_id text not null,
    rule text not null,
    verdict text not null,
    reason text not null,
    since text not null,
    account_id text not null,
    application_id text,
    ledger_index bigint not null,
    primary key (instance_id, rule)
);
create index verdict_open on verdict (verdict, account_id, instance_id);
