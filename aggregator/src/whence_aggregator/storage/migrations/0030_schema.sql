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

-- From which index on entries were recorded at which time. latest is the latest clock so far, so that it never falls.
create table clock (
    ledger_index {key},
    recorded_at bigint not null,
    latest bigint not null
);
create index clock_latest on clock (latest, ledger_index);

-- What statements are searched by, each combination once. Text that is not there is empty. Every digest that runs is found,
-- not the application's alone: other_digests has those of sidecars, and of the index that an image was chosen from, in
-- order, separated by a space.
create table facets (
    number {key},
    account_id text not null,
    region text not null,
    application_id text not null,
    application_version text not null,
    user_data_digest text not null,
    image_digest text not null,
    other_digests text not null,
    unique (image_digest, application_id, application_version, user_data_digest, account_id, region, other_digests)
);
create index facets_application on facets (application_id, application_version);
create index facets_user_data on facets (user_data_digest);
create index facets_account on facets (account_id, region);

create table facets_image (
    image_digest text not null,
    facets bigint not null,
    primary key (image_digest, facets)
){compact};

-- An instance and its newest statement, by (enrolment, sequence); 0 and '' before the first. judged is the index of the
-- statement that verdicts are about, base the statement that new ones are packed against: both are ours, not evidence.
-- rule_set is the set of rules that have judged the instance; 0 before the first. image_id is the AMI of the identity
-- document. first_index is the first statement that was recorded, earliest the earliest time that any of its statements
-- names, late_millis by how much the first recording is later than that: the way to those whose statements all came after
-- the time asked about. Most come within minutes; the others have an index of their own.
-- life is derived (trace/life.py) from listed, the newest listed state, asked_at, when that listing began, and spoke_at,
-- when the newest statement was recorded, both in milliseconds. life_index is the entry that life changed with.
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
    rule_set bigint not null default 0,
    first_index bigint not null default -1,
    earliest bigint not null default 0,
    late_millis bigint not null default 0,
    listed text not null default '',
    asked_at bigint not null default 0,
    spoke_at bigint not null default 0,
    life text not null default 'unknown',
    life_index bigint not null default -1,
    image_id text not null default ''
);
create index instance_first on instance (first_index, earliest, number);
create index instance_late on instance (number) where late_millis > 600000;
create index instance_living on instance (facets, number) where life in ('running', 'unknown');
create index instance_alive on instance (number) where life in ('running', 'unknown');
create index instance_never_listed on instance (account_id, region, instance_id) where listed = '';
create index instance_terminated on instance (number) where life = 'terminated';
create index instance_ami on instance (image_id, number);
create index instance_facets_now on instance (facets, number);
create index instance_unjudged on instance (number) where judged < ledger_index;

create table instance_facets (
    facets bigint not null,
    instance bigint not null,
    primary key (facets, instance)
){compact};

-- The history of life: the newest row before a bound in the log is what was known then. An instance without one: unknown.
create table life (
    instance bigint not null,
    ledger_index bigint not null,
    life text not null,
    primary key (instance, ledger_index)
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

-- pending_at is when the machine was launched, as its identity document states: no statement under the binding is earlier.
create table enrolment (
    instance bigint not null,
    number bigint not null,
    key_id bytea not null unique,
    ledger_index bigint not null,
    pending_at bigint not null,
    primary key (instance, number)
){compact};

create table challenge (
    nonce text primary key,
    expires_at text not null
);

-- Heartbeats are not in the log, so seal is a MAC over the row. enrolment is the binding that was heard last: heartbeats of
-- an older one are ignored. counter is that of the last heartbeat that was accepted under it, 0 before the first; only a
-- higher one is accepted. skew_millis is its sent_at less the time it arrived; skew_confirmed is 1 when the heartbeats before
-- it showed the same. beat_seal is a MAC over these three, null while the counter is 0.
create table last_seen (
    instance_id text primary key,
    seen_at bigint not null,
    seal bytea not null,
    enrolment bigint not null default 0,
    counter bigint not null default 0,
    skew_millis bigint not null default 0,
    skew_confirmed bigint not null default 0,
    beat_seal bytea
){compact};
-- The few whose heartbeats show that their clock is wrong: five minutes, as CLOCK_OFF_SECONDS in trace/listening.py.
create index last_seen_clock_off on last_seen (instance_id)
    where skew_millis > 300000 or (skew_millis < -300000 and skew_confirmed = 1);

-- Which secrets what is stored was made with: a digest under each secret, so that a lost or other one is found at the start.
create table secret_fingerprint (
    name text primary key,
    fingerprint text not null
);

-- When each token of tokens_file was used last, by its hash; it is not in the log and not derived from it.
create table token_use (token text primary key, used_at text not null){compact};

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

-- Which commit an image was built from, and who stated it: `agent` or `registry`. The way from commits back to instances.
create table image_commit (
    commit_id text not null,
    image_digest text not null,
    repository text not null,
    said_by text not null,
    ledger_index bigint not null,
    primary key (commit_id, image_digest, repository, said_by)
);
create index image_commit_image on image_commit (image_digest);

-- Words of commit messages that look like tickets: the way from tickets back to commits.
create table commit_word (
    word text not null,
    repository text not null,
    commit_id text not null,
    ledger_index bigint not null,
    primary key (word, repository, commit_id)
);

-- What the EC2 API lists, account by account: the denominator of silence. user_data_unread says why the user data is not
-- known; empty where it was read.
create table inventory (
    account_id text not null,
    region text not null,
    instance_id text not null,
    state text not null,
    launched_at text not null,
    user_data_digest text not null,
    ledger_index bigint not null,
    asked_at bigint not null,
    user_data_unread text not null,
    primary key (account_id, region, instance_id)
);
create index inventory_instance on inventory (instance_id);

create table inventory_history (
    instance_id text not null,
    ledger_index bigint not null,
    account_id text not null,
    region text not null,
    state text not null,
    launched_at text not null,
    user_data_digest text not null,
    user_data_unread text not null,
    asked_at bigint not null,
    primary key (instance_id, ledger_index)
){compact};

-- When the newest listing of an account and region began, when the last complete one did, null before the first, and the
-- failure since, if any. No evidence by itself and in no entry, as last_seen is not.
create table listing (
    account_id text not null,
    region text not null,
    begun_at bigint not null,
    listed_at bigint,
    instances bigint not null,
    failed_at bigint,
    failure text not null,
    primary key (account_id, region)
){compact};

-- Work that waits: durable, due at a time, with the reason of the last failure; on whose behalf, and which host is asked,
-- so that neither holds up the others.
create table task (
    kind text not null,
    subject text not null,
    due_at text not null,
    attempts bigint not null,
    reason text not null,
    lane text not null default 'shared',
    host text not null default '',
    primary key (kind, subject)
);
create index task_due on task (due_at);
create index task_lane on task (lane, host, due_at);

-- Sets of rules, each once: an object of versions by rule, as JSON in the order of rules.
create table rule_set (
    number {key},
    rules text not null unique
);

-- Verdicts about subjects of a kind: `instance` by instance.number. A rule that a subject has always passed has no row.
create table verdict (
    subject_kind text not null,
    subject bigint not null,
    rule text not null,
    rule_version bigint not null,
    verdict text not null,
    reason text not null,
    since text not null,
    ledger_index bigint not null,
    primary key (subject_kind, subject, rule)
){compact};
create index verdict_rule on verdict (rule, subject_kind, subject) where verdict <> 'pass';

-- How many: instances (subject 'instances') and verdicts (subject 'RULE/OUTCOME'), kept by whoever changes them.
create table tally (
    account_id text not null,
    subject text not null,
    n bigint not null,
    primary key (account_id, subject)
){compact};

-- The registry front: what was pushed. image is the config's digest, child the image that is meant where an index is one.
create table image_manifest (
    repository text not null,
    digest text not null,
    team text not null,
    media_type text not null,
    size bigint not null,
    image text not null,
    artifact_type text not null,
    subject text not null,
    child text not null,
    annotations text not null,
    pushed_at text not null,
    pushed_by text not null,
    ledger_index bigint not null,
    primary key (repository, digest)
);
create index image_manifest_subject on image_manifest (repository, subject, digest) where subject <> '';
create index image_manifest_digest on image_manifest (digest);
create index image_manifest_image on image_manifest (image);

create table image_tag (
    repository text not null,
    tag text not null,
    digest text not null,
    team text not null,
    created_at text not null,
    created_by text not null,
    ledger_index bigint not null,
    primary key (repository, tag)
);
create index image_tag_team on image_tag (team, repository);
create index image_tag_digest on image_tag (digest);

create table image_blob (
    digest text primary key,
    size bigint not null
);

-- Repositories that hold anything, if only a blob that no manifest names yet: a list for clients, no evidence.
create table image_place (
    repository text primary key
);

-- Which digests a reference by tag was seen to name, and by whom: `front` for a push here, `registry` for what a registry
-- answered, else the account of the instance. What one account states is no evidence about another one's images.
create table tag_digest (
    reference text not null,
    digest text not null,
    said_by text not null,
    ledger_index bigint not null,
    primary key (reference, digest, said_by)
);

-- Images by what all their layers are together, so that a base image is known in those that stand on it.
create table image_chain (
    chain text not null,
    image_digest text not null,
    primary key (chain, image_digest)
);
