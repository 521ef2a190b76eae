-- Types are chosen to mean the same to SQLite and PostgreSQL; {key} is a 64-bit primary key and {compact} what SQLite adds
-- to a table that is its own index. Instants are milliseconds since 1970 in what grows with statements, RFC 3339 elsewhere.

-- The log. body is packed (ledger/packing.py), against the body of entry `base` when that is set; null once pruned.
-- digest_head are the first eight bytes of the SHA-256 of the verbatim bytes.
create table entry (
    ledger_index {key},
    kind text not null,
    base bigint,
    body bytea,
    digest_head bigint not null
);
create index entry_digest on entry (digest_head);
create index entry_rare on entry (kind, ledger_index) where kind in ('log-key', 'pruned');

-- Hashes of the Merkle tree, 256 of a level together; the last tile of a level may be shorter.
create table tile (
    level smallint not null,
    number bigint not null,
    hashes bytea not null,
    primary key (level, number)
);

-- Checkpoints that were published, with their cosignatures.
create table checkpoint (
    size {key},
    note text not null
);

-- From which index on entries were recorded at which time.
create table clock (
    ledger_index {key},
    recorded_at bigint not null
);

-- What statements are searched by, each combination once. Text that is not there is empty.
create table facets (
    number {key},
    account_id text not null,
    region text not null,
    application_id text not null,
    application_version text not null,
    user_data_digest text not null,
    image_digest text not null,
    unique (image_digest, application_id, application_version, user_data_digest, account_id, region)
);
create index facets_application on facets (application_id, application_version);
create index facets_user_data on facets (user_data_digest);
create index facets_account on facets (account_id, region);

-- An instance and its newest statement, by (enrolment, sequence); 0 and '' before the first. judged is the index of the
-- statement that verdicts are about, base the statement that new ones are packed against: both are ours, not evidence.
-- rules has a bit for each rule that has judged the instance.
create table instance (
    number {key},
    instance_id text not null unique,
    account_id text not null,
    region text not null,
    enrolment bigint not null,
    sequence bigint not null,
    ledger_index bigint not null,
    observed_at bigint not null,
    cause text not null,
    facets bigint not null,
    judged bigint not null,
    base bigint not null,
    rules bigint not null default 0
);
create index instance_facets_now on instance (facets, number);
create index instance_unjudged on instance (number) where judged < ledger_index;

create table instance_facets (
    facets bigint not null,
    instance bigint not null,
    primary key (facets, instance)
){compact};

create table statement (
    instance bigint not null,
    enrolment bigint not null,
    sequence bigint not null,
    ledger_index bigint not null,
    observed_at bigint not null,
    cause text not null,
    facets bigint not null,
    primary key (instance, enrolment, sequence)
){compact};

create table enrolment (
    instance bigint not null,
    number bigint not null,
    key_id bytea not null unique,
    ledger_index bigint not null,
    primary key (instance, number)
){compact};

create table challenge (
    nonce text primary key,
    expires_at text not null
);

-- seal is a MAC over the row: heartbeats are not in the log.
create table last_seen (
    instance_id text primary key,
    seen_at bigint not null,
    seal bytea not null
){compact};

create table application_revision (
    application_id text not null,
    revision bigint not null,
    recorded_at text not null,
    recorded_by text not null,
    body text not null,
    ledger_index bigint not null,
    primary key (application_id, revision)
);

-- What collectors found out, each an entry of the log. The newest of a kind and subject counts.
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

-- What the EC2 API lists, account by account: the denominator of silence.
create table inventory (
    account_id text not null,
    region text not null,
    instance_id text not null,
    state text not null,
    launched_at text not null,
    user_data_digest text not null,
    ledger_index bigint not null,
    primary key (account_id, region, instance_id)
);
create index inventory_instance on inventory (instance_id);

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

-- A rule that an instance has always passed has no row.
create table verdict (
    instance bigint not null,
    rule text not null,
    verdict text not null,
    reason text not null,
    since text not null,
    ledger_index bigint not null,
    primary key (instance, rule)
){compact};
create index verdict_rule on verdict (rule, instance) where verdict <> 'pass';

-- How many: instances (subject 'instances') and verdicts (subject 'RULE/OUTCOME'), kept by whoever changes them.
create table tally (
    account_id text not null,
    subject text not null,
    n bigint not null,
    primary key (account_id, subject)
){compact};
