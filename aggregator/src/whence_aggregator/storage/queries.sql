-- {x in texts y} and {x in integers y} mean: x is in the JSON array :y.

-- name: last_index
select coalesce(max(ledger_index), -1) as last_index from entry;

-- name: last_clock
select ledger_index, recorded_at, latest,
    (select max(e.ledger_index) from entry e where e.kind = 'log-key' and e.kind in ('log-key', 'pruned')) as key_index
from clock order by ledger_index desc limit 1;

-- name: append_entry
insert into entry (ledger_index, kind, base, body, digest_head)
values (:ledger_index, :kind, :base, :body, :digest_head);

-- name: put_tile
insert into tile (level, number, hashes) values (:level, :number, :hashes)
on conflict (level, number) do update set hashes = excluded.hashes;

-- name: tiles_of_level
select level, number, hashes from tile where level = :level and {number in integers numbers};

-- name: put_checkpoint
insert into checkpoint (size, note) values (:size, :note) on conflict (size) do update set note = excluded.note;

-- name: newest_checkpoint
select size, note from checkpoint order by size desc limit 1;

-- name: secret_fingerprint
select fingerprint from secret_fingerprint where name = :name;

-- name: keep_secret_fingerprint
insert into secret_fingerprint (name, fingerprint) values (:name, :fingerprint) on conflict (name) do nothing;

-- name: replace_secret_fingerprint
insert into secret_fingerprint (name, fingerprint) values (:name, :fingerprint)
on conflict (name) do update set fingerprint = excluded.fingerprint;

-- name: count_enrolments
select count(*) as n from enrolment;

-- name: reseal
update last_seen set seal = :seal, beat_seal = :beat_seal
where instance_id = :instance_id and seen_at = :seen_at and enrolment = :enrolment and counter = :counter;

-- name: add_clock
insert into clock (ledger_index, recorded_at, latest) values (:ledger_index, :recorded_at, :latest);

-- name: clock_past
select ledger_index from clock where latest > :at order by latest, ledger_index limit 1;

-- name: clock_at
select recorded_at from clock where ledger_index <= :ledger_index order by ledger_index desc limit 1;

-- name: clock_range
select min(ledger_index) as first, max(ledger_index) as last from clock
where recorded_at >= :since and recorded_at < :until;

-- name: clock_after
select min(ledger_index) as ledger_index from clock where ledger_index > :ledger_index;

-- name: entries_from
select e.ledger_index, e.kind, e.base, e.body, b.body as base_body, e.digest_head
from entry e left join entry b on b.ledger_index = e.base
where e.ledger_index >= :first and e.ledger_index < :past order by e.ledger_index limit :limit;

-- name: entries_at
select e.ledger_index, e.kind, e.base, e.body, b.body as base_body, e.digest_head
from entry e left join entry b on b.ledger_index = e.base
where {e.ledger_index in integers indexes} order by e.ledger_index;

-- name: newest_of_kind
select e.ledger_index, e.kind, e.base, e.body, b.body as base_body
from entry e left join entry b on b.ledger_index = e.base
where e.kind = :kind and e.kind in ('log-key', 'pruned') order by e.ledger_index desc limit 1;

-- name: entries_by_digest
select e.ledger_index, e.kind, e.base, e.body, b.body as base_body, e.digest_head
from entry e left join entry b on b.ledger_index = e.base
where e.digest_head = :digest_head order by e.ledger_index limit 16;

-- name: prunable
select e.ledger_index from entry e
where {e.kind in texts kinds} and e.ledger_index >= :first and e.ledger_index < :past and e.body is not null
    and not exists (select 1 from instance i where i.base = e.ledger_index or i.ledger_index = e.ledger_index)
order by e.ledger_index limit :limit;

-- name: bases_needed
select distinct base from entry where ledger_index >= :past and base < :past;

-- name: prune_entry
update entry set body = null, base = null where ledger_index = :ledger_index;

-- name: redeem_challenge
insert into challenge (nonce, expires_at) values (:nonce, :expires_at) on conflict (nonce) do nothing returning nonce;

-- name: forget_challenges
delete from challenge where expires_at <= :now;

-- name: enrolment_by_key
select i.instance_id, i.number as instance, i.account_id, i.region, n.number, n.ledger_index, e.body, e.base, b.body as base_body
from enrolment n join instance i on i.number = n.instance join entry e on e.ledger_index = n.ledger_index
left join entry b on b.ledger_index = e.base
where n.key_id = :key_id;

-- name: enrolments_by_key
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

-- name: standing_of_key
select i.instance_id, i.account_id, i.region, i.life, i.listed, v.listed_at, n.number as enrolment,
    (select max(m.number) from enrolment m where m.instance = i.number) as newest,
    (select c.recorded_at from clock c where c.ledger_index <= n.ledger_index order by c.ledger_index desc limit 1) as bound_at
from enrolment n join instance i on i.number = n.instance
left join listing v on v.account_id = i.account_id and v.region = i.region
where n.key_id = :key_id;

-- name: standing_of_instance
select i.instance_id, i.account_id, i.region, i.life, i.listed, v.listed_at, n.number as enrolment, n.number as newest,
    (select c.recorded_at from clock c where c.ledger_index <= n.ledger_index order by c.ledger_index desc limit 1) as bound_at
from instance i join enrolment n on n.instance = i.number
    and n.number = (select max(m.number) from enrolment m where m.instance = i.number)
left join listing v on v.account_id = i.account_id and v.region = i.region
where i.instance_id = :instance_id;

-- name: last_instance
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

-- name: lives_of
select i.instance_id, i.life, v.listed_at,
    (select c.recorded_at from clock c where c.ledger_index <= i.life_index order by c.ledger_index desc limit 1) as since
from instance i left join listing v on v.account_id = i.account_id and v.region = i.region
where {i.instance_id in texts instance_ids};

-- name: lives_at
select i.instance_id, h.life, null as listed_at,
    (select c.recorded_at from clock c where c.ledger_index <= h.ledger_index order by c.ledger_index desc limit 1) as since
from instance i join life h on h.instance = i.number and h.ledger_index = (
    select max(n.ledger_index) from life n where n.instance = i.number and n.ledger_index < :past)
where {i.instance_id in texts instance_ids};

-- name: seen
select instance_id, seen_at, counter, skew_millis, skew_confirmed from last_seen where {instance_id in texts instance_ids};

-- name: heard_last
select max(seen_at) as seen_at from last_seen;

-- name: silent_since
select l.instance_id, l.seen_at from last_seen l join instance i on i.instance_id = l.instance_id
where (l.seen_at, l.instance_id) > (:since, :after) and l.seen_at < :until
    and i.life in ('pending', 'running', 'unknown')
order by l.seen_at, l.instance_id limit :limit;

-- name: speaking_again
select l.instance_id, v.subject as number from verdict v join instance i on i.number = v.subject
join last_seen l on l.instance_id = i.instance_id
where v.rule = :rule and v.subject_kind = 'instance' and v.verdict <> 'pass' and v.verdict <> 'gone'
    and l.seen_at >= :until and v.subject > :after
order by v.subject limit :limit;

-- name: clocks_gone_wrong
select i.instance_id, i.number from last_seen l join instance i on i.instance_id = l.instance_id
where (l.skew_millis > 300000 or (l.skew_millis < -300000 and l.skew_confirmed = 1))
    and i.life in ('pending', 'running', 'unknown') and not exists (
    select 1 from verdict v where v.subject_kind = 'instance' and v.subject = i.number and v.rule = :rule
        and v.verdict = 'fail')
    and i.number > :after
order by i.number limit :limit;

-- name: clocks_set_right
select l.instance_id, v.subject as number from verdict v join instance i on i.number = v.subject
join last_seen l on l.instance_id = i.instance_id
where v.rule = :rule and v.subject_kind = 'instance' and v.verdict <> 'pass' and v.verdict <> 'gone'
    and v.reason like :by_heartbeats and l.skew_millis between -300000 and 300000 and v.subject > :after
order by v.subject limit :limit;

-- name: speaking_though_ended
select i.instance_id, i.number from instance i join last_seen l on l.instance_id = i.instance_id
where i.life = 'terminated' and l.seen_at > i.asked_at + :on_the_way and not exists (
    select 1 from verdict v where v.subject_kind = 'instance' and v.subject = i.number and v.rule = :rule
        and v.verdict = 'fail')
    and i.number > :after
order by i.number limit :limit;

-- name: statements_now
select i.instance_id, i.number as instance, i.enrolment, i.sequence, i.cause, i.observed_at, i.ledger_index,
    (select c.recorded_at from clock c where c.ledger_index <= i.ledger_index order by c.ledger_index desc limit 1)
        as recorded_at, e.base, e.body, b.body as base_body
from instance i join entry e on e.ledger_index = i.ledger_index left join entry b on b.ledger_index = e.base
where {i.instance_id in texts instance_ids};

-- name: statements_at
select i.instance_id, i.number as instance, s.enrolment, s.sequence, s.cause, s.observed_at, s.ledger_index,
    (select c.recorded_at from clock c where c.ledger_index <= s.ledger_index order by c.ledger_index desc limit 1)
        as recorded_at, e.base, e.body, b.body as base_body
from instance i join statement s on s.instance = i.number and (s.enrolment, s.sequence) = (
    select t.enrolment, t.sequence from statement t where t.instance = i.number and t.ledger_index < :past
    order by t.enrolment desc, t.sequence desc limit 1)
join entry e on e.ledger_index = s.ledger_index left join entry b on b.ledger_index = e.base
where {i.instance_id in texts instance_ids};

-- name: statements_later
select l.instance_id, l.instance, l.enrolment, l.sequence, l.cause, l.observed_at, l.ledger_index, l.total,
    (select c.recorded_at from clock c where c.ledger_index <= l.ledger_index order by c.ledger_index desc limit 1)
        as recorded_at, e.base, e.body, b.body as base_body
from (
    select i.instance_id, s.instance, s.enrolment, s.sequence, s.cause, s.observed_at, s.ledger_index,
        count(*) over (partition by s.instance) as total,
        row_number() over (partition by s.instance order by s.enrolment desc, s.sequence desc) as place
    from instance i join statement s on s.instance = i.number
    join enrolment n on n.instance = s.instance and n.number = s.enrolment
    where {i.instance_id in texts instance_ids} and s.ledger_index >= :past and s.ledger_index < :known_past
        and s.observed_at <= :at and n.pending_at <= :at) l
join entry e on e.ledger_index = l.ledger_index left join entry b on b.ledger_index = e.base
where l.place <= :limit order by l.instance, l.enrolment desc, l.sequence desc;

-- name: statements_of
select s.ledger_index, s.enrolment, s.sequence, s.cause, s.observed_at, f.image_digest,
    (select c.recorded_at from clock c where c.ledger_index <= s.ledger_index order by c.ledger_index desc limit 1)
        as recorded_at, e.body, b.body as base_body
from instance i join statement s on s.instance = i.number join facets f on f.number = s.facets
join entry e on e.ledger_index = s.ledger_index left join entry b on b.ledger_index = e.base
where i.instance_id = :instance_id and s.ledger_index < :past order by s.enrolment desc, s.sequence desc limit :limit;

-- name: facets_matching
select number from facets
where (cast(:application as text) is null or application_id = :application)
    and (cast(:version as text) is null or application_version = :version)
    and (cast(:account as text) is null or account_id = :account)
    and (cast(:region as text) is null or region = :region)
    and (cast(:user_data as text) is null or user_data_digest = :user_data);

-- name: facets_of_application
select number from facets where application_id = :application
    and (cast(:version as text) is null or application_version = :version)
    and (cast(:account as text) is null or account_id = :account)
    and (cast(:region as text) is null or region = :region)
    and (cast(:user_data as text) is null or user_data_digest = :user_data);

-- name: facets_of_user_data
select number from facets where user_data_digest = :user_data
    and (cast(:version as text) is null or application_version = :version)
    and (cast(:account as text) is null or account_id = :account)
    and (cast(:region as text) is null or region = :region);

-- name: facets_of_applications
select number from facets where {application_id in texts applications};

-- name: ami_missing
select number from instance where image_id = '' limit 1;

-- name: facets_of_ami
select distinct facets as number from instance where image_id = :ami and ledger_index >= 0;

-- name: facets_of_ami_ever
select distinct s.facets as number from instance i join statement s on s.instance = i.number where i.image_id = :ami;

-- name: facets_of_images
select number from facets where {image_digest in texts images}
union all select facets from facets_image where {image_digest in texts images};

-- name: few_facets_of_images
select number, application_id, application_version, user_data_digest, image_digest from facets
where {image_digest in texts images}
union all select f.number, f.application_id, f.application_version, f.user_data_digest, f.image_digest
from facets_image m join facets f on f.number = m.facets where {m.image_digest in texts images}
limit :limit;

-- name: facets_numbered
select number, application_id, application_version, user_data_digest, image_digest from facets
where {number in integers numbers};

-- name: facets_of_images_matching
select f.number from (
    select number from facets where {image_digest in texts images}
    union all select facets from facets_image where {image_digest in texts images}) m
join facets f on f.number = m.number
where (cast(:application as text) is null or application_id = :application)
    and (cast(:version as text) is null or application_version = :version)
    and (cast(:account as text) is null or account_id = :account)
    and (cast(:region as text) is null or region = :region)
    and (cast(:user_data as text) is null or user_data_digest = :user_data);

-- name: instances_with_facets_now
select i.*, l.seen_at,
    (select c.recorded_at from clock c where c.ledger_index <= i.ledger_index order by c.ledger_index desc limit 1)
        as recorded_at,
    (select c.recorded_at from clock c where c.ledger_index <= i.life_index order by c.ledger_index desc limit 1)
        as life_since
from (
    select number, facets, instance_id, account_id, region, cause, observed_at, ledger_index, life, life_index
    from instance
    where {facets in integers facets} and number > :after and (cast(:cause as text) is null or cause = :cause)
        and ledger_index >= :first and ledger_index < :before
        and (cast(:ami as text) is null or image_id = :ami)
        and life in ('running', 'unknown') and (life = 'running' or exists (
        select 1 from last_seen s where s.instance_id = instance.instance_id and s.seen_at >= :silent_before))
    order by number limit :limit) i
left join last_seen l on l.instance_id = i.instance_id
order by i.number;

-- name: instances_with_facets_state
select i.*, l.seen_at,
    (select c.recorded_at from clock c where c.ledger_index <= i.ledger_index order by c.ledger_index desc limit 1)
        as recorded_at,
    (select c.recorded_at from clock c where c.ledger_index <= i.life_index order by c.ledger_index desc limit 1)
        as life_since
from (
    select number, facets, instance_id, account_id, region, cause, observed_at, ledger_index, life, life_index
    from instance
    where {facets in integers facets} and number > :after and (cast(:cause as text) is null or cause = :cause)
        and ledger_index >= :first and ledger_index < :before
        and (cast(:ami as text) is null or image_id = :ami)
        and {life in texts lives} and (
        (cast(:every as bigint) = 1) or (cast(:never as bigint) = 1 and not exists (
            select 1 from last_seen s where s.instance_id = instance.instance_id)) or exists (
            select 1 from last_seen s where s.instance_id = instance.instance_id and (
                (cast(:speaking as bigint) = 1 and s.seen_at >= :silent_before) or (cast(:silent as bigint) = 1 and s.seen_at < :silent_before))))
    order by number limit :limit) i
left join last_seen l on l.instance_id = i.instance_id
order by i.number;

-- name: instances_now
select i.*, l.seen_at,
    (select c.recorded_at from clock c where c.ledger_index <= i.ledger_index order by c.ledger_index desc limit 1)
        as recorded_at,
    (select c.recorded_at from clock c where c.ledger_index <= i.life_index order by c.ledger_index desc limit 1)
        as life_since
from (
    select number, facets, instance_id, account_id, region, cause, observed_at, ledger_index, life, life_index
    from instance
    where ledger_index >= 0 and number > :after and (cast(:cause as text) is null or cause = :cause)
        and ledger_index >= :first and ledger_index < :before
        and (cast(:ami as text) is null or image_id = :ami)
        and life in ('running', 'unknown') and (life = 'running' or exists (
        select 1 from last_seen s where s.instance_id = instance.instance_id and s.seen_at >= :silent_before))
    order by number limit :limit) i
left join last_seen l on l.instance_id = i.instance_id
order by i.number;

-- name: instances_state
select i.*, l.seen_at,
    (select c.recorded_at from clock c where c.ledger_index <= i.ledger_index order by c.ledger_index desc limit 1)
        as recorded_at,
    (select c.recorded_at from clock c where c.ledger_index <= i.life_index order by c.ledger_index desc limit 1)
        as life_since
from (
    select number, facets, instance_id, account_id, region, cause, observed_at, ledger_index, life, life_index
    from instance
    where ledger_index >= 0 and number > :after and (cast(:cause as text) is null or cause = :cause)
        and ledger_index >= :first and ledger_index < :before
        and (cast(:ami as text) is null or image_id = :ami)
        and {life in texts lives} and (
        (cast(:every as bigint) = 1) or (cast(:never as bigint) = 1 and not exists (
            select 1 from last_seen s where s.instance_id = instance.instance_id)) or exists (
            select 1 from last_seen s where s.instance_id = instance.instance_id and (
                (cast(:speaking as bigint) = 1 and s.seen_at >= :silent_before) or (cast(:silent as bigint) = 1 and s.seen_at < :silent_before))))
    order by number limit :limit) i
left join last_seen l on l.instance_id = i.instance_id
order by i.number;

-- name: instances_with_facets_at
select q.*, null as life_since from (
    select i.number, s.facets, i.instance_id, i.account_id, i.region, s.cause, s.observed_at, s.ledger_index,
        (select c.recorded_at from clock c where c.ledger_index <= s.ledger_index order by c.ledger_index desc limit 1)
            as recorded_at,
        coalesce((select h.life from life h where h.instance = i.number and h.ledger_index < :past
            order by h.ledger_index desc limit 1), 'unknown') as life
    from (select distinct instance from instance_facets where {facets in integers facets} and instance > :after) c
    join instance i on i.number = c.instance
    join statement s on s.instance = c.instance and (s.enrolment, s.sequence) = (
        select t.enrolment, t.sequence from statement t where t.instance = c.instance and t.ledger_index < :past
        order by t.enrolment desc, t.sequence desc limit 1)
    where {s.facets in integers facets} and (cast(:cause as text) is null or s.cause = :cause)
        and s.ledger_index >= :first and s.ledger_index < :before
        and (cast(:ami as text) is null or i.image_id = :ami)) q
where {q.life in texts lives} order by q.number limit :limit;

-- name: instances_at
select q.*, null as life_since from (
    select i.number, s.facets, i.instance_id, i.account_id, i.region, s.cause, s.observed_at, s.ledger_index,
        (select c.recorded_at from clock c where c.ledger_index <= s.ledger_index order by c.ledger_index desc limit 1)
            as recorded_at,
        coalesce((select h.life from life h where h.instance = i.number and h.ledger_index < :past
            order by h.ledger_index desc limit 1), 'unknown') as life
    from instance i join statement s on s.instance = i.number and (s.enrolment, s.sequence) = (
        select t.enrolment, t.sequence from statement t where t.instance = i.number and t.ledger_index < :past
        order by t.enrolment desc, t.sequence desc limit 1)
    where i.number > :after and (cast(:cause as text) is null or s.cause = :cause)
        and s.ledger_index >= :first and s.ledger_index < :before
        and (cast(:ami as text) is null or i.image_id = :ami)) q
where {q.life in texts lives} order by q.number limit :limit;

-- name: instances_later
select q.*, null as life_since from (
    select i.number, s.facets, i.instance_id, i.account_id, i.region, s.cause, s.observed_at, s.ledger_index,
        (select c.recorded_at from clock c where c.ledger_index <= s.ledger_index order by c.ledger_index desc limit 1)
            as recorded_at,
        coalesce((select h.life from life h where h.instance = i.number and h.ledger_index < :past
            order by h.ledger_index desc limit 1), 'unknown') as life
    from (
        select number from instance
        where first_index >= :past and first_index < :soon_past and earliest <= :at and number > :after
        union select number from instance
        where late_millis > 600000 and first_index >= :past and earliest <= :at and number > :after) c
    join instance i on i.number = c.number join statement s on s.instance = i.number and (s.enrolment, s.sequence) = (
        select t.enrolment, t.sequence from statement t
        join enrolment n on n.instance = t.instance and n.number = t.enrolment
        where t.instance = i.number and t.ledger_index < :known_past and t.observed_at <= :at and n.pending_at <= :at
        order by t.enrolment desc, t.sequence desc limit 1)
    where (cast(:cause as text) is null or s.cause = :cause)
        and s.ledger_index >= :first and s.ledger_index < :before
        and (cast(:ami as text) is null or i.image_id = :ami)) q
where {q.life in texts lives} order by q.number limit :limit;

-- name: instances_with_facets_later
select q.*, null as life_since from (
    select i.number, s.facets, i.instance_id, i.account_id, i.region, s.cause, s.observed_at, s.ledger_index,
        (select c.recorded_at from clock c where c.ledger_index <= s.ledger_index order by c.ledger_index desc limit 1)
            as recorded_at,
        coalesce((select h.life from life h where h.instance = i.number and h.ledger_index < :past
            order by h.ledger_index desc limit 1), 'unknown') as life
    from (
        select number from instance
        where first_index >= :past and first_index < :soon_past and earliest <= :at and number > :after
        union select number from instance
        where late_millis > 600000 and first_index >= :past and earliest <= :at and number > :after) c
    join instance i on i.number = c.number join statement s on s.instance = i.number and (s.enrolment, s.sequence) = (
        select t.enrolment, t.sequence from statement t
        join enrolment n on n.instance = t.instance and n.number = t.enrolment
        where t.instance = i.number and t.ledger_index < :known_past and t.observed_at <= :at and n.pending_at <= :at
        order by t.enrolment desc, t.sequence desc limit 1)
    where {s.facets in integers facets} and (cast(:cause as text) is null or s.cause = :cause)
        and s.ledger_index >= :first and s.ledger_index < :before
        and (cast(:ami as text) is null or i.image_id = :ami)) q
where {q.life in texts lives} order by q.number limit :limit;

-- name: unjudged
select number, instance_id, ledger_index from instance where judged < ledger_index and number > :after
order by number limit :limit;

-- name: set_judged
update instance set judged = :judged where number = :number and judged < :judged;

-- name: application_at
select application_id, revision, recorded_at, recorded_by, body, ledger_index from application_revision
where application_id = :application_id and ledger_index < :past order by revision desc limit 1;

-- name: applications_at
select r.application_id, r.revision, r.recorded_at, r.recorded_by, r.body, r.ledger_index from application_revision r
where {r.application_id in texts application_ids} and r.revision = (
    select max(n.revision) from application_revision n
    where n.application_id = r.application_id and n.ledger_index < :past);

-- name: application_first
select recorded_at, recorded_by from application_revision where application_id = :application_id
order by revision limit 1;

-- name: applications_all_at
select r.application_id, r.revision, r.recorded_at, r.recorded_by, r.body, r.ledger_index,
    f.recorded_at as created_at, f.recorded_by as created_by
from application_revision r
join (select application_id, max(revision) as revision from application_revision
    where ledger_index < :past and application_id > :after
    group by application_id order by application_id limit :limit) n
    on n.application_id = r.application_id and n.revision = r.revision
join application_revision f on f.application_id = r.application_id and f.revision = 1
order by r.application_id;

-- name: add_application_revision
insert into application_revision (application_id, revision, recorded_at, recorded_by, body, ledger_index)
values (:application_id, :revision, :recorded_at, :recorded_by, :body, :ledger_index);

-- name: add_fact
insert into fact (kind, subject, ledger_index, observed_at, outcome, value, reason)
values (:kind, :subject, :ledger_index, :observed_at, :outcome, :value, :reason);

-- name: facts_now
select f.kind, f.subject, f.ledger_index, f.observed_at, f.outcome, f.value, f.reason from fact f
where f.kind = :kind and {f.subject in texts subjects} and f.ledger_index = (
    select max(n.ledger_index) from fact n where n.kind = f.kind and n.subject = f.subject);

-- name: facts_at
select f.kind, f.subject, f.ledger_index, f.observed_at, f.outcome, f.value, f.reason from fact f
where f.kind = :kind and {f.subject in texts subjects} and f.ledger_index = (
    select max(n.ledger_index) from fact n
    where n.kind = f.kind and n.subject = f.subject and n.ledger_index < :past);

-- name: add_image_commit
insert into image_commit (commit_id, image_digest, repository, said_by, ledger_index)
values (:commit_id, :image_digest, :repository, :said_by, :ledger_index)
on conflict do nothing;

-- name: images_of_commit
select distinct image_digest from image_commit
where commit_id >= :first and commit_id < :last and ledger_index < :known_past order by image_digest limit :limit;

-- name: add_commit_word
insert into commit_word (word, repository, commit_id, ledger_index)
values (:word, :repository, :commit_id, :ledger_index) on conflict do nothing;

-- name: images_of_ticket
select distinct i.image_digest from commit_word w
join image_commit i on i.commit_id = w.commit_id and i.repository = w.repository
where w.word = :word and w.ledger_index < :known_past and i.ledger_index < :known_past order by i.image_digest limit :limit;

-- name: put_inventory
insert into inventory (account_id, region, instance_id, state, launched_at, user_data_digest, user_data_unread,
    ledger_index, asked_at)
values (:account_id, :region, :instance_id, :state, :launched_at, :user_data_digest, :user_data_unread, :ledger_index,
    :asked_at)
on conflict (account_id, region, instance_id) do update set state = excluded.state, launched_at = excluded.launched_at,
    user_data_digest = excluded.user_data_digest, user_data_unread = excluded.user_data_unread, ledger_index = excluded.ledger_index, asked_at = excluded.asked_at;

-- name: inventory_of_region
select v.account_id, v.region, v.instance_id, v.state, v.launched_at, v.user_data_digest, v.user_data_unread, v.ledger_index, v.asked_at,
    i.cause, i.spoke_at, i.life
from inventory v left join instance i on i.instance_id = v.instance_id
where v.account_id = :account_id and v.region = :region;

-- name: inventory_of
select account_id, region, instance_id, state, launched_at, user_data_digest, user_data_unread, ledger_index, asked_at from inventory
where {instance_id in texts instance_ids};

-- name: enrolled_unlisted
select i.instance_id from instance i where i.account_id = :account_id and i.region = :region and i.listed = ''
    and (select c.recorded_at from clock c where c.ledger_index <= (
        select min(n.ledger_index) from enrolment n where n.instance = i.number)
        order by c.ledger_index desc limit 1) < :enrolled_before
order by i.instance_id limit :limit;

-- name: put_listing
update listing set listed_at = :listed_at, instances = :instances, failed_at = null, failure = ''
where account_id = :account_id and region = :region and begun_at = :listed_at;

-- name: fail_listing
update listing set failed_at = :failed_at, failure = :failure
where account_id = :account_id and region = :region and begun_at = :failed_at;

-- name: begin_listing
insert into listing (account_id, region, begun_at, listed_at, instances, failed_at, failure)
values (:account_id, :region, :begun_at, null, 0, null, '')
on conflict (account_id, region) do update set begun_at = excluded.begun_at where excluded.begun_at > listing.begun_at;

-- name: listing_begun
select begun_at from listing where account_id = :account_id and region = :region;

-- name: add_inventory_history
insert into inventory_history (account_id, region, instance_id, state, launched_at, user_data_digest, user_data_unread,
    ledger_index, asked_at)
values (:account_id, :region, :instance_id, :state, :launched_at, :user_data_digest, :user_data_unread, :ledger_index,
    :asked_at);

-- name: inventory_at
select h.account_id, h.region, h.instance_id, h.state, h.launched_at, h.user_data_digest, h.user_data_unread, h.ledger_index, h.asked_at
from inventory_history h
where {h.instance_id in texts instance_ids} and h.ledger_index = (
    select max(n.ledger_index) from inventory_history n where n.instance_id = h.instance_id and n.ledger_index < :past);

-- name: user_data_listed
select e.ledger_index, e.kind, e.base, e.body, b.body as base_body
from entry e left join entry b on b.ledger_index = e.base
where e.ledger_index = (
    select min(h.ledger_index) from inventory_history h
    where h.instance_id = :instance_id and h.user_data_digest = :user_data_digest and h.ledger_index < :past);

-- name: listings
select account_id, region, listed_at, instances, failed_at, failure from listing order by account_id, region;

-- name: unjudge_awaiting
update instance set judged = -1 where account_id = :account_id and region = :region and ledger_index >= 0
    and number in (select v.subject from verdict v
        where v.subject_kind = 'instance' and v.verdict = 'unknown' and {v.rule in texts rules});

-- name: judged_by_others
select i.instance_id, i.number from instance i
where i.ledger_index >= 0 and i.judged >= i.ledger_index and i.number > :after
    and {i.rule_set in integers sets}
order by i.number limit :limit;

-- name: rule_sets_all
select number, rules from rule_set;

-- name: presence_counts
select account_id, region, life, heard, count(*) as n from (
    select i.account_id, i.region, i.life,
        case when l.seen_at >= :silent_before then 'speaking' when l.seen_at is not null then 'silent'
            when v.launched_at >= :awaited_since then 'awaited' else 'never' end as heard
    from instance i left join last_seen l on l.instance_id = i.instance_id
    left join inventory v on v.instance_id = i.instance_id and v.account_id = i.account_id and v.region = i.region
    where i.life <> 'terminated'
    union all
    select v.account_id, v.region, v.state as life,
        case when v.launched_at >= :awaited_since then 'awaited' else 'never' end as heard
    from inventory v left join instance i on i.instance_id = v.instance_id
    where i.number is null and v.state not in ('terminated', 'gone')) p
group by account_id, region, life, heard order by account_id, region, life, heard;

-- name: inventory_unread
select account_id, region, instance_id, reason, n from (
    select account_id, region, instance_id, user_data_unread as reason,
        count(*) over (partition by account_id, region) as n,
        row_number() over (partition by account_id, region order by instance_id) as place
    from inventory where user_data_unread <> '' and state not in ('terminated', 'gone')) as unread
where place <= :most order by account_id, region, instance_id;

-- name: inventory_silent
select p.instance_id, p.region, p.life, p.launched_at, p.seen_at, p.spoke from (
    select i.instance_id, i.account_id, i.region, i.life, coalesce(v.launched_at, '') as launched_at, l.seen_at,
        i.ledger_index as spoke
    from instance i left join last_seen l on l.instance_id = i.instance_id
    left join inventory v on v.instance_id = i.instance_id and v.account_id = i.account_id and v.region = i.region
    where i.account_id = :account_id and i.life in ('running', 'unknown') and i.instance_id > :after
    union all
    select v.instance_id, v.account_id, v.region, v.state, v.launched_at, null, -1
    from inventory v left join instance i on i.instance_id = v.instance_id
    where v.account_id = :account_id and i.number is null and v.state = 'running' and v.instance_id > :after) p
where (p.seen_at is null or p.seen_at < :silent_before) and (p.seen_at is not null or p.launched_at < :awaited_since)
order by p.instance_id limit :limit;

-- name: add_task_unless_known
insert into task (kind, subject, due_at, attempts, reason, lane, host)
select cast(:kind as text), cast(:subject as text), cast(:due_at as text), 0, '', cast(:lane as text), cast(:host as text)
where not exists (select 1 from fact where kind = :kind and subject = :subject)
on conflict (kind, subject) do update set lane = 'shared' where task.lane <> excluded.lane;

-- name: add_task
insert into task (kind, subject, due_at, attempts, reason, lane, host)
values (:kind, :subject, :due_at, 0, '', :lane, :host)
on conflict (kind, subject) do update set lane = 'shared' where task.lane <> excluded.lane;

-- name: due_tasks
select kind, subject, due_at, lane, host from task where due_at <= :now order by due_at, kind limit :limit;

-- name: due_tasks_of_each
with recursive pairs (lane, host) as (
    select lane, host from (select lane, host from task order by lane, host limit 1) as first
    union all
    select n.lane, n.host from pairs p join task n on n.rowid = (
        select t.rowid from task t where (t.lane, t.host) > (p.lane, p.host) order by t.lane, t.host limit 1))
select t.kind, t.subject, t.due_at, t.lane, t.host from pairs p join task t on t.rowid in (
    select d.rowid from task d where d.lane = p.lane and d.host = p.host and d.due_at <= :now
    order by d.due_at limit :each)
limit :limit;

-- name: claim_task
update task set due_at = :lease, attempts = attempts + 1
where kind = :kind and subject = :subject and due_at = :due_at
returning attempts;

-- name: next_due
select min(due_at) as due_at from task where due_at > :now;

-- name: oldest_due
select min(due_at) as due_at from task;

-- name: count_tasks
select kind, n from (
    select kind, count(*) as n from task
    where kind <> 'inventory' and not (attempts = 0 and reason <> '') group by kind
    union all select 'evaluate' as kind, count(*) as n from instance where judged < ledger_index
) as waiting where n > 0 order by kind;

-- name: postpone_task
update task set due_at = :due_at, reason = :reason, host = :host where kind = :kind and subject = :subject;

-- name: forget_task
delete from task where kind = :kind and subject = :subject;

-- name: repeat_task
update task set due_at = :due_at, reason = :reason, attempts = 0 where kind = :kind and subject = :subject;

-- name: tasks_of_kind
select kind, subject, due_at, attempts, reason from task where kind = :kind order by subject;

-- name: finish_task
delete from task where kind = :kind and subject = :subject and due_at = :lease;

-- name: tasks_of
select kind, subject, due_at, attempts, reason from task where kind = :kind and {subject in texts subjects};

-- name: unjudge
update instance set judged = -1 where {instance_id in texts instance_ids};

-- name: unjudge_image
update instance set judged = -1 where ledger_index >= 0
    and facets in (select number from facets where image_digest = :image_digest);

-- Only a second image of a tag can change what is known of the first one. What an account states counts in that account.

-- name: unjudge_tag
update instance set judged = -1 where ledger_index >= 0
    and (cast(:account_id as text) is null or account_id = :account_id) and facets in (
    select f.number from tag_digest t join facets f on f.image_digest = t.digest
    where t.reference = :reference and exists (
        select 1 from tag_digest o where o.reference = t.reference and o.digest <> t.digest)
    union select x.facets from tag_digest t join facets_image x on x.image_digest = t.digest
    where t.reference = :reference and exists (
        select 1 from tag_digest o where o.reference = t.reference and o.digest <> t.digest));

-- name: unjudge_commit
update instance set judged = -1 where ledger_index >= 0 and facets in (
    select f.number from image_commit c join facets f on f.image_digest = c.image_digest
    where c.commit_id = :commit_id);

-- name: unjudge_application
update instance set judged = -1 where ledger_index >= 0
    and facets in (select number from facets where application_id = :application_id);

-- name: verdicts_of
select i.instance_id, v.subject, v.rule, v.rule_version, v.verdict, v.reason, v.since, v.ledger_index
from instance i join verdict v on v.subject_kind = 'instance' and v.subject = i.number
where {i.instance_id in texts instance_ids} order by v.subject, v.rule;

-- name: rule_sets
select number, rules from rule_set where {rules in texts sets};

-- name: last_rule_set
select coalesce(max(number), 0) as number from rule_set;

-- name: add_rule_set
insert into rule_set (number, rules) values (:number, :rules);

-- name: set_rules
update instance set rule_set = :rule_set where number = :instance;

-- name: set_verdict
insert into verdict (subject_kind, subject, rule, rule_version, verdict, reason, since, ledger_index)
values (:subject_kind, :subject, :rule, :rule_version, :verdict, :reason, :since, :ledger_index)
on conflict (subject_kind, subject, rule) do update set rule_version = excluded.rule_version,
    verdict = excluded.verdict, reason = excluded.reason, since = excluded.since, ledger_index = excluded.ledger_index;

-- name: verdicts
select v.subject, i.instance_id, v.rule, v.rule_version, v.verdict, v.reason, v.since, i.account_id, i.region,
    nullif(f.application_id, '') as application_id, v.ledger_index
from verdict v join instance i on i.number = v.subject join facets f on f.number = i.facets
where v.subject_kind = 'instance'
    and (v.subject > :after_subject or (v.subject = :after_subject and v.rule > :after_rule))
    and v.verdict <> 'pass' and v.verdict <> 'gone' and {v.rule in texts rules}
    and {i.life in texts lives} and (cast(:now as bigint) = 0 or i.life = 'running' or exists (
        select 1 from last_seen s where s.instance_id = i.instance_id and s.seen_at >= :silent_before))
    and (cast(:every as bigint) = 1 or (cast(:never as bigint) = 1 and not exists (
        select 1 from last_seen s where s.instance_id = i.instance_id)) or exists (
        select 1 from last_seen s where s.instance_id = i.instance_id and (
            (cast(:speaking as bigint) = 1 and s.seen_at >= :silent_before)
            or (cast(:silent as bigint) = 1 and s.seen_at < :silent_before))))
    and (cast(:any_application as bigint) = 1 or {f.application_id in texts applications})
    and (cast(:verdict as text) is null or v.verdict = :verdict)
    and (cast(:account as text) is null or i.account_id = :account)
    and (cast(:region as text) is null or i.region = :region)
    and (cast(:ami as text) is null or i.image_id = :ami)
    and (cast(:instance as text) is null or i.instance_id = :instance)
    and (cast(:since as text) is null or v.since >= :since)
    and (cast(:until as text) is null or v.since < :until)
order by v.subject, v.rule limit :limit;

-- name: never_spoke
select v.account_id, v.region, v.instance_id, v.launched_at, v.ledger_index
from inventory v left join instance i on i.instance_id = v.instance_id
where v.state = 'running' and (i.number is null or i.ledger_index < 0) and v.instance_id > :after
    and v.launched_at < :launched_before
    and (cast(:account as text) is null or v.account_id = :account)
    and (cast(:region as text) is null or v.region = :region)
    and (cast(:instance as text) is null or v.instance_id = :instance)
    and (cast(:since as text) is null or v.launched_at >= :since)
    and (cast(:until as text) is null or v.launched_at < :until)
order by v.instance_id limit :limit;

-- name: add_to_tally
insert into tally (account_id, subject, n) values (:account_id, :subject, :n)
on conflict (account_id, subject) do update set n = tally.n + excluded.n;

-- name: tallies
select account_id, subject, n from tally order by account_id, subject;

-- Tokens of callers, by their hash. Two replicas write: the later use stays.

-- name: note_token_use
insert into token_use (token, used_at) values (:token, :used_at)
on conflict (token) do update set used_at = excluded.used_at where token_use.used_at < excluded.used_at;

-- name: token_uses
select token, used_at from token_use order by token;

-- The registry front.

-- name: add_manifest
insert into image_manifest (repository, digest, team, media_type, size, image, artifact_type, subject, child, annotations,
    pushed_at, pushed_by, ledger_index)
values (:repository, :digest, :team, :media_type, :size, :image, :artifact_type, :subject, :child, :annotations,
    :pushed_at, :pushed_by, :ledger_index)
on conflict do nothing;

-- name: add_blob
insert into image_blob (digest, size) values (:digest, :size) on conflict do nothing;

-- name: put_tag
insert into image_tag (repository, tag, digest, team, created_at, created_by, ledger_index)
values (:repository, :tag, :digest, :team, :created_at, :created_by, :ledger_index)
on conflict (repository, tag) do update set digest = excluded.digest, created_at = excluded.created_at,
    created_by = excluded.created_by, ledger_index = excluded.ledger_index;

-- name: remove_tag
delete from image_tag where repository = :repository and tag = :tag;

-- name: tags_of_digest
select tag from image_tag where repository = :repository and digest = :digest order by tag{binary} limit :limit;

-- An account that states one tag of ever other images makes so many rows and no more: each is read with every judgement.
-- That the tag has moved is known by the second.

-- name: add_tag_digest
insert into tag_digest (reference, digest, said_by, ledger_index)
select cast(:reference as text), cast(:digest as text), cast(:said_by as text), cast(:ledger_index as bigint)
where cast(:said_by as text) in ('front', 'registry') or (
    select count(*) from tag_digest where reference = :reference and said_by = :said_by) < 100
on conflict do nothing;

-- name: tag_digests
select reference, digest, said_by, ledger_index from tag_digest
where {reference in texts references} and ledger_index < :past order by reference, ledger_index;

-- name: add_image_chain
insert into image_chain (chain, image_digest) values (:chain, :image_digest) on conflict do nothing;

-- name: images_of_chains
select chain, image_digest from image_chain where {chain in texts chains} order by chain, image_digest limit :limit;

-- name: images_of_chains_and_commit
select c.image_digest from image_chain c join image_commit i on i.image_digest = c.image_digest
where {c.chain in texts chains} and i.commit_id = :commit_id and i.said_by = 'registry' order by c.chain, c.image_digest limit :limit;

-- name: tag_of
select tag, digest, created_at, created_by, ledger_index from image_tag where repository = :repository and tag = :tag;

-- Tags of images alone: what is signed last is no newer version. An artifact has neither image nor child.

-- name: newest_tag
select t.tag, t.digest, t.created_at, t.created_by, t.ledger_index
from image_tag t join image_manifest m on m.repository = t.repository and m.digest = t.digest
where t.repository = :repository and (m.image <> '' or m.child <> '')
order by t.created_at desc, t.ledger_index desc limit 1;

-- name: manifest_of
select repository, digest, media_type, size, image, artifact_type, subject, child, annotations, pushed_at, pushed_by,
    ledger_index
from image_manifest where repository = :repository and digest = :digest;

-- name: repository_known
select 1 as known from image_manifest where repository = :repository limit 1;

-- name: tags_after
select tag from image_tag where repository = :repository and tag{binary} > :after order by tag{binary} limit :limit;

-- name: repositories_after
select repository from image_place where repository{binary} > :after order by repository{binary} limit :limit;

-- name: add_place
insert into image_place (repository) values (:repository) on conflict do nothing;

-- name: referrers_of
select digest, media_type, size, artifact_type, annotations from image_manifest
where repository = :repository and subject = :subject and subject <> '' and digest > :after
    and (cast(:artifact_type as text) is null or artifact_type = :artifact_type)
order by digest limit :limit;

-- name: teams_with_tags
select t.team from image_tag t join image_manifest m on m.repository = t.repository and m.digest = t.digest
where m.image <> '' or m.child <> '' group by t.team order by t.team{binary};

-- name: repositories_of_team
select t.repository from image_tag t join image_manifest m on m.repository = t.repository and m.digest = t.digest
where t.team = :team and (m.image <> '' or m.child <> '') group by t.repository order by t.repository{binary};

-- name: tags_by_age
select t.tag, t.digest, t.created_at, t.created_by, t.ledger_index, m.image, m.child, m.media_type, m.size
from image_tag t join image_manifest m on m.repository = t.repository and m.digest = t.digest
where t.repository = :repository and (m.image <> '' or m.child <> '')
order by t.created_at desc, t.ledger_index desc limit :limit;

-- name: tags_with_image
select distinct m.image, t.tag as name, t.team, t.repository
from image_manifest m join image_tag t on t.repository = m.repository and t.digest = m.digest
where m.image >= :first and m.image < :past order by m.image, t.repository, t.tag limit :limit;

-- name: count_team
select count(distinct t.repository) as artifacts, count(*) as tags
from image_tag t join image_manifest m on m.repository = t.repository and m.digest = t.digest
where t.team = :team and (m.image <> '' or m.child <> '');

-- name: count_teams
select t.team, count(distinct t.repository) as artifacts, count(*) as tags
from image_tag t join image_manifest m on m.repository = t.repository and m.digest = t.digest
where m.image <> '' or m.child <> '' group by t.team order by t.team{binary};

-- name: sum_blobs
select count(*) as blobs, sum(size) as storage from image_blob;

-- name: images_listed
select t.repository, t.tag, t.digest, t.team, t.created_at, t.created_by, t.ledger_index, m.media_type, m.child, m.size
from image_tag t join image_manifest m on m.repository = t.repository and m.digest = t.digest
where (t.repository{binary} > :after_repository or (t.repository = :after_repository and t.tag{binary} > :after_tag))
    and (cast(:team as text) is null or t.team = :team)
    and (cast(:repository as text) is null or t.repository = :repository)
    and (cast(:tag as text) is null or t.tag = :tag)
    and (cast(:digest as text) is null or t.digest = :digest or m.child = :digest)
    and (cast(:text as text) is null or t.repository like :text escape '!' or t.tag like :text escape '!')
    and (m.image <> '' or m.child <> '')
order by t.repository{binary}, t.tag{binary} limit :limit;

-- For the check: tables as they can be compared, in the order of their keys.

-- name: dump_tile
select level, number, hashes from tile order by level, number limit :limit offset :offset;

-- name: dump_checkpoint
select size, note from checkpoint order by size limit :limit offset :offset;

-- name: dump_clock
select ledger_index, recorded_at, latest from clock order by ledger_index limit :limit offset :offset;

-- name: dump_facets
select number, account_id, region, application_id, application_version, user_data_digest, image_digest, other_digests
from facets order by number limit :limit offset :offset;

-- name: dump_facets_image
select image_digest, facets from facets_image order by image_digest{binary}, facets limit :limit offset :offset;

-- name: dump_instance
select i.number, i.instance_id, i.account_id, i.region, i.image_id, i.enrolment, i.sequence, i.ledger_index, i.observed_at, i.cause,
    i.rule_set, i.listed, i.asked_at, i.spoke_at, i.life, f.account_id as facets_account, f.application_id, f.application_version, f.user_data_digest,
    f.image_digest, f.other_digests
from instance i left join facets f on f.number = i.facets order by i.number limit :limit offset :offset;

-- name: dump_instance_first
select number, first_index, earliest, late_millis, life_index from instance order by number limit :limit offset :offset;

-- name: dump_instance_facets
select facets, instance from instance_facets order by facets, instance limit :limit offset :offset;

-- name: dump_statement
select instance, enrolment, sequence, ledger_index, observed_at, cause, facets from statement
order by instance, enrolment, sequence limit :limit offset :offset;

-- name: dump_enrolment
select instance, number, key_id, ledger_index, pending_at from enrolment order by instance, number limit :limit offset :offset;

-- name: dump_application_revision
select application_id, revision, recorded_at, recorded_by, body, ledger_index from application_revision
order by ledger_index limit :limit offset :offset;

-- name: dump_fact
select ledger_index, kind, subject, observed_at, outcome, value, reason from fact
order by ledger_index limit :limit offset :offset;

-- name: dump_image_commit
select commit_id, image_digest, repository, said_by, ledger_index from image_commit
order by commit_id{binary}, image_digest{binary}, repository{binary}, said_by{binary} limit :limit offset :offset;

-- name: dump_commit_word
select commit_id, repository, word, ledger_index from commit_word order by commit_id{binary}, repository{binary}, word{binary} limit :limit offset :offset;

-- name: dump_inventory_history
select instance_id, ledger_index, account_id, region, state, launched_at, user_data_digest, user_data_unread, asked_at
from inventory_history
order by instance_id{binary}, ledger_index limit :limit offset :offset;

-- name: dump_life
select instance, ledger_index, life from life order by instance, ledger_index limit :limit offset :offset;

-- name: dump_inventory
select instance_id, account_id, region, state, launched_at, user_data_digest, user_data_unread, ledger_index, asked_at from inventory
order by instance_id{binary}, account_id{binary}, region{binary} limit :limit offset :offset;

-- name: dump_verdict
select subject_kind, subject, rule, rule_version, verdict, reason, since, ledger_index from verdict
order by subject_kind{binary}, subject, rule{binary} limit :limit offset :offset;

-- name: dump_rule_set
select number, rules from rule_set order by number limit :limit offset :offset;

-- name: dump_tally
select account_id, subject, n from tally order by account_id{binary}, subject{binary} limit :limit offset :offset;

-- name: dump_last_seen
select instance_id, seen_at, enrolment, seal, counter, skew_millis, skew_confirmed, beat_seal from last_seen order by instance_id{binary} limit :limit offset :offset;

-- name: dump_unseen
select i.instance_id from instance i left join last_seen l on l.instance_id = i.instance_id
where i.ledger_index >= 0 and l.instance_id is null order by i.number limit :limit offset :offset;

-- name: dump_image_manifest
select repository, digest, team, media_type, size, image, artifact_type, subject, child, annotations, pushed_at, pushed_by,
    ledger_index
from image_manifest order by repository{binary}, digest limit :limit offset :offset;

-- name: dump_image_tag
select repository, tag, digest, team, created_at, created_by, ledger_index from image_tag
order by repository{binary}, tag{binary} limit :limit offset :offset;

-- name: dump_image_blob
select digest, size from image_blob order by digest limit :limit offset :offset;

-- name: dump_tag_digest
select reference, digest, said_by, ledger_index from tag_digest
order by reference{binary}, digest{binary}, said_by{binary} limit :limit offset :offset;

-- name: dump_image_chain
select chain, image_digest from image_chain order by chain, image_digest limit :limit offset :offset;

-- name: clear_image_manifest
delete from image_manifest;

-- name: clear_image_tag
delete from image_tag;

-- name: clear_image_blob
delete from image_blob;

-- name: clear_tag_digest
delete from tag_digest;

-- name: clear_image_chain
delete from image_chain;

-- name: clear_clock
delete from clock;

-- name: clear_facets
delete from facets;

-- name: clear_facets_image
delete from facets_image;

-- name: clear_instance
delete from instance;

-- name: clear_instance_facets
delete from instance_facets;

-- name: clear_statement
delete from statement;

-- name: clear_enrolment
delete from enrolment;

-- name: clear_application_revision
delete from application_revision;

-- name: clear_fact
delete from fact;

-- name: clear_image_commit
delete from image_commit;

-- name: clear_commit_word
delete from commit_word;

-- name: clear_inventory_history
delete from inventory_history;

-- name: clear_life
delete from life;

-- name: clear_inventory
delete from inventory;

-- name: clear_verdict
delete from verdict;

-- name: clear_rule_set
delete from rule_set;

-- name: clear_tally
delete from tally;
