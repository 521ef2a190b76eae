-- Enrolment, ingest and heartbeats, and the projections of statements.
-- types: base_body bytes?

-- name: secret_fingerprint
select fingerprint from secret_fingerprint where name = :name;

-- name: keep_secret_fingerprint
insert into secret_fingerprint (name, fingerprint) values (:name, :fingerprint) on conflict (name) do nothing;

-- name: replace_secret_fingerprint
insert into secret_fingerprint (name, fingerprint) values (:name, :fingerprint)
on conflict (name) do update set fingerprint = excluded.fingerprint;

-- name: count_enrolments
-- types: n int
select count(*) as n from enrolment;

-- name: reseal
update last_seen set seal = :seal, beat_seal = :beat_seal
where instance_id = :instance_id and seen_at = :seen_at and enrolment = :enrolment and counter = :counter;

-- name: redeem_challenge
insert into challenge (nonce, expires_at) values (:nonce, :expires_at) on conflict (nonce) do nothing returning nonce;

-- name: forget_challenges
-- types: now str
delete from challenge where expires_at <= :now;

-- name: enrolment_by_key
select i.instance_id, i.number as instance, i.account_id, i.region, n.number, n.ledger_index, e.body, e.base, b.body as base_body
from enrolment n join instance i on i.number = n.instance join entry e on e.ledger_index = n.ledger_index
left join entry b on b.ledger_index = e.base
where n.key_id = :key_id;

-- name: enrolments_by_key
-- types: key_ids bytes
with recursive place (at) as (
    select 1 union all select at + 32 from place where at + 32 <= length(:key_ids))
select n.key_id, i.instance_id, i.number as instance, i.account_id, i.region, n.number, n.ledger_index, e.body, e.base, b.body as base_body
from place p cross join enrolment n join instance i on i.number = n.instance join entry e on e.ledger_index = n.ledger_index
left join entry b on b.ledger_index = e.base
where n.key_id = substr(:key_ids, p.at, 32);

-- name: enrolments_of
select i.instance_id, i.number as instance, i.account_id, i.region, n.number, n.ledger_index, e.body, e.base, b.body as base_body
from instance i join enrolment n on n.instance = i.number join entry e on e.ledger_index = n.ledger_index
left join entry b on b.ledger_index = e.base
where {i.instance_id in texts instance_ids} order by n.instance, n.number;

-- name: last_instance
-- types: number int
select coalesce(max(number), 0) as number from instance;

-- name: add_enrolment
insert into enrolment (instance, number, key_id, ledger_index, pending_at)
values (:instance, :number, :key_id, :ledger_index, :pending_at);

-- name: add_instance
insert into instance
    (number, instance_id, account_id, region, image_id, enrolment, sequence, ledger_index, observed_at, cause, facets, judged, base,
    listed, asked_at, life, life_index)
values (:number, :instance_id, :account_id, :region, :image_id, 0, 0, -1, 0, '', 0, -1, -1, :listed, :asked_at, :life, :life_index)
on conflict do nothing;

-- name: instances_named
-- types: rules str, last_index int
select
    number, instance_id, account_id, region, enrolment, sequence, ledger_index, facets, base, first_index, earliest,
    late_millis,
    cause, listed, asked_at, spoke_at, life, life_index,
    coalesce((select r.rules from rule_set r where r.number = rule_set), '{}') as rules,
    (select coalesce(max(ledger_index), -1) from entry) as last_index
from instance
where {instance_id in texts instance_ids};

-- name: move_instance
insert into instance
    (number, instance_id, account_id, region, enrolment, sequence, ledger_index, observed_at, cause, facets, judged, base,
    spoke_at, life, life_index)
values (:number, :instance_id, :account_id, :region, :enrolment, :sequence, :ledger_index, :observed_at, :cause, :facets,
    :judged, :base, :spoke_at, :life, :life_index)
on conflict (number) do update set enrolment = excluded.enrolment, sequence = excluded.sequence,
    ledger_index = excluded.ledger_index, observed_at = excluded.observed_at, cause = excluded.cause,
    facets = excluded.facets, base = excluded.base, spoke_at = excluded.spoke_at, life = excluded.life,
    life_index = excluded.life_index;

-- name: set_life
update instance set listed = :listed, asked_at = :asked_at, life = :life, life_index = :life_index where number = :number;

-- name: add_life
insert into life (instance, ledger_index, life) values (:instance, :ledger_index, :life);

-- name: set_first
update instance set first_index = :first_index, earliest = :earliest, late_millis = :late_millis where number = :number;

-- name: statement_taken
select ledger_index from statement
where instance = :instance and enrolment = :enrolment and sequence = :sequence;

-- name: add_statement
insert into statement (instance, enrolment, sequence, ledger_index, observed_at, cause, facets)
values (:instance, :enrolment, :sequence, :ledger_index, :observed_at, :cause, :facets);

-- name: last_facets
-- types: number int
select coalesce(max(number), 0) as number from facets;

-- name: facets_named
select number from facets where image_digest = :image_digest and application_id = :application_id
    and application_version = :application_version and user_data_digest = :user_data_digest
    and account_id = :account_id and region = :region and other_digests = :other_digests;

-- name: add_facets
insert into facets
    (number, account_id, region, application_id, application_version, user_data_digest, image_digest, other_digests)
values (:number, :account_id, :region, :application_id, :application_version, :user_data_digest, :image_digest,
    :other_digests);

-- name: add_facets_image
insert into facets_image (image_digest, facets) values (:image_digest, :facets);

-- name: add_instance_facets
insert into instance_facets (facets, instance) values (:facets, :instance) on conflict do nothing;

-- name: see
insert into last_seen (instance_id, seen_at, enrolment, seal) values (:instance_id, :seen_at, :enrolment, :seal)
on conflict (instance_id) do update set seen_at = excluded.seen_at, enrolment = excluded.enrolment, seal = excluded.seal,
    counter = case when excluded.enrolment > last_seen.enrolment then 0 else last_seen.counter end,
    skew_millis = case when excluded.enrolment > last_seen.enrolment then 0 else last_seen.skew_millis end
where (excluded.enrolment, excluded.seen_at) > (last_seen.enrolment, last_seen.seen_at);

-- name: hear
insert into last_seen (instance_id, seen_at, enrolment, seal, counter, skew_millis, skew_confirmed, beat_seal)
values (:instance_id, :seen_at, :enrolment, :seal, :counter, :skew_millis, :skew_confirmed, :beat_seal)
on conflict (instance_id) do update set
    seal = case when (excluded.enrolment, excluded.seen_at) > (last_seen.enrolment, last_seen.seen_at)
        then excluded.seal else last_seen.seal end,
    seen_at = case when (excluded.enrolment, excluded.seen_at) > (last_seen.enrolment, last_seen.seen_at)
        then excluded.seen_at else last_seen.seen_at end,
    enrolment = excluded.enrolment, counter = excluded.counter, skew_millis = excluded.skew_millis,
    skew_confirmed = excluded.skew_confirmed, beat_seal = excluded.beat_seal
where (excluded.enrolment, excluded.counter) > (last_seen.enrolment, last_seen.counter)
returning instance_id;

-- name: heard_counters
select instance_id, enrolment, counter from last_seen where {instance_id in texts instance_ids};

-- name: heard_last
-- types: seen_at int?
select max(seen_at) as seen_at from last_seen;
