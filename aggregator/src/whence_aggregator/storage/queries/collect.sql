-- Facts that collectors found, and the inventory of the EC2 API.
-- types: limit int, before int, kept_max int

-- name: add_fact
insert into fact (kind, subject, ledger_index, observed_at, outcome, value, reason)
values (:kind, :subject, :ledger_index, :observed_at, :outcome, :value, :reason);

-- name: facts_now
select f.kind, f.subject, f.ledger_index, f.observed_at, f.outcome, f.value, f.reason from fact f
where f.kind = :kind and {f.subject in texts subjects} and f.ledger_index = (
    select max(n.ledger_index) from fact n where n.kind = f.kind and n.subject = f.subject);

-- name: facts_standing
-- types: facts int, newest int, known int
select count(*) as facts, coalesce(max(f.ledger_index), 0) as newest, count(case when f.outcome <> 'unknown' then 1 end) as known
from fact f
where f.kind = :kind and {f.subject in texts subjects};

-- name: remove_fact
delete from fact where ledger_index = :ledger_index;

-- name: remove_commit_words
delete from commit_word where commit_id = :commit_id and repository = :repository;

-- name: remove_commit_persons
delete from commit_person where commit_id = :commit_id and repository = :repository;

-- name: remove_review_names
delete from review_name where commit_id = :commit_id and repository = :repository;

-- name: facts_of_commit
select kind, subject, ledger_index, observed_at, outcome, value, reason from fact
where subject = :subject and kind in ('commit', 'review') and outcome = 'found' order by ledger_index;

-- name: forget_answers
delete from outside_answer;

-- name: add_commit_person
insert into commit_person (person, repository, commit_id, ledger_index)
values (:person, :repository, :commit_id, :ledger_index) on conflict do nothing;

-- name: commits_without_person
-- types: after int
select f.kind, f.subject, f.ledger_index, f.observed_at, f.outcome, f.value, f.reason from fact f
where f.kind = 'commit' and f.outcome = 'found' and f.ledger_index > :after and not exists (
    select 1 from commit_person p where p.ledger_index = f.ledger_index)
order by f.ledger_index limit :limit;

-- name: add_review_name
insert into review_name (name, repository, commit_id, ledger_index)
values (:name, :repository, :commit_id, :ledger_index) on conflict do nothing;

-- name: reviews_without_name
-- types: after int
select f.kind, f.subject, f.ledger_index, f.observed_at, f.outcome, f.value, f.reason from fact f
where f.kind = 'review' and f.outcome = 'found' and f.ledger_index > :after and not exists (
    select 1 from review_name n where n.repository || '@' || n.commit_id = f.subject)
order by f.ledger_index limit :limit;

-- name: add_range_commit
insert into range_commit (commit_id, repository, tip, ledger_index)
values (:commit_id, :repository, :tip, :ledger_index) on conflict do nothing;

-- name: ranges_without_commit
-- types: after int
select f.kind, f.subject, f.ledger_index, f.observed_at, f.outcome, f.value, f.reason from fact f
where f.kind = 'commit-range' and f.outcome = 'found' and f.ledger_index > :after and not exists (
    select 1 from range_commit c where c.ledger_index = f.ledger_index)
order by f.ledger_index limit :limit;

-- name: indexes_of_facts
select ledger_index from fact
where kind = :kind and {subject in texts subjects} and outcome = 'found' order by ledger_index;

-- name: add_image_commit
insert into image_commit (commit_id, image_digest, repository, said_by, ledger_index)
values (:commit_id, :image_digest, :repository, :said_by, :ledger_index)
on conflict do nothing;

-- name: add_commit_word
insert into commit_word (word, repository, commit_id, ledger_index)
values (:word, :repository, :commit_id, :ledger_index) on conflict do nothing;

-- name: put_inventory
insert into inventory (account_id, region, instance_id, state, launched_at, user_data_digest, user_data_unread,
    ledger_index, asked_at)
values (:account_id, :region, :instance_id, :state, :launched_at, :user_data_digest, :user_data_unread, :ledger_index,
    :asked_at)
on conflict (account_id, region, instance_id) do update set state = excluded.state, launched_at = excluded.launched_at,
    user_data_digest = excluded.user_data_digest, user_data_unread = excluded.user_data_unread, ledger_index = excluded.ledger_index, asked_at = excluded.asked_at;

-- name: inventory_of_region
-- types: cause str?, spoke_at int?, life str?, details str?
select v.account_id, v.region, v.instance_id, v.state, v.launched_at, v.user_data_digest, v.user_data_unread, v.ledger_index, v.asked_at,
    i.cause, i.spoke_at, i.life, d.details
from inventory v left join instance i on i.instance_id = v.instance_id
left join inventory_detail d on d.instance_id = v.instance_id and d.ledger_index = v.ledger_index
where v.account_id = :account_id and v.region = :region;

-- name: enrolled_unlisted
-- types: enrolled_before int
select i.instance_id from instance i where i.account_id = :account_id and i.region = :region and i.listed = ''
    and (select c.recorded_at from clock c where c.ledger_index <= (
        select min(n.ledger_index) from enrolment n where n.instance = i.number)
        order by c.ledger_index desc limit 1) < :enrolled_before
order by i.instance_id limit :limit;

-- name: put_listing
update listing set listed_at = :listed_at, instances = :instances, failed_at = null, failure = '', failures = 0
where account_id = :account_id and region = :region and begun_at = :listed_at;

-- name: fail_listing
update listing set failed_at = :failed_at, failure = :failure, failures = failures + :failures
where account_id = :account_id and region = :region and begun_at = :failed_at;

-- name: begin_listing
insert into listing (account_id, region, begun_at, listed_at, instances, failed_at, failure, failures)
values (:account_id, :region, :begun_at, null, 0, null, '', 0)
on conflict (account_id, region) do update set begun_at = excluded.begun_at where excluded.begun_at > listing.begun_at;

-- name: listing_begun
select begun_at, failures from listing where account_id = :account_id and region = :region;

-- name: add_inventory_detail
insert into inventory_detail (instance_id, ledger_index, details) values (:instance_id, :ledger_index, :details);

-- name: add_inventory_history
insert into inventory_history (account_id, region, instance_id, state, launched_at, user_data_digest, user_data_unread,
    ledger_index, asked_at)
values (:account_id, :region, :instance_id, :state, :launched_at, :user_data_digest, :user_data_unread, :ledger_index,
    :asked_at);

-- name: listings
select account_id, region, listed_at, instances, failed_at, failure, failures from listing order by account_id, region;

-- name: presence_counts
-- types: heard str, n int, silent_before int, awaited_since str
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
-- types: n int, most int
select account_id, region, instance_id, reason, n from (
    select account_id, region, instance_id, user_data_unread as reason,
        count(*) over (partition by account_id, region) as n,
        row_number() over (partition by account_id, region order by instance_id) as place
    from inventory where user_data_unread <> '' and state not in ('terminated', 'gone')) as unread
where place <= :most order by account_id, region, instance_id;

-- name: inventory_silent
-- types: launched_at str, seen_at int?, spoke int, silent_before int, awaited_since str, after str
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

-- Bounds the rows of one tag and account, as each is read with every evaluation. The second row already shows that the
-- tag has moved.

-- name: add_tag_digest
insert into tag_digest (reference, digest, said_by, ledger_index)
select cast(:reference as text), cast(:digest as text), cast(:said_by as text), cast(:ledger_index as bigint)
where cast(:said_by as text) in ('front', 'registry') or (
    select count(*) from tag_digest where reference = :reference and said_by = :said_by) < 100
on conflict do nothing;

-- name: add_image_layer
insert into image_layer (layer, image_digest, ledger_index)
values (:layer, :image_digest, :ledger_index) on conflict do nothing;

-- name: add_image_chain
insert into image_chain (chain, image_digest) values (:chain, :image_digest) on conflict do nothing;

-- name: images_of_chains
select chain, image_digest from image_chain where {chain in texts chains} order by chain, image_digest limit :limit;

-- name: images_of_chains_and_commit
select c.image_digest from image_chain c join image_commit i on i.image_digest = c.image_digest
where {c.chain in texts chains} and i.commit_id = :commit_id and i.said_by = 'registry' order by c.chain, c.image_digest limit :limit;

-- name: kept_answer
select etag, next, kept_at, body from outside_answer where resource = :resource;

-- name: keep_answer
insert into outside_answer (resource, etag, next, kept_at, body) values (:resource, :etag, :next, :kept_at, :body)
on conflict (resource) do update set etag = excluded.etag, next = excluded.next, kept_at = excluded.kept_at,
    body = excluded.body;

-- name: drop_answers
delete from outside_answer where kept_at < :before or resource in (
    select resource from outside_answer order by kept_at desc limit 1000000000 offset :kept_max);

-- name: setting_digest
select digest from setting_digest where name = :name;

-- name: keep_setting_digest
insert into setting_digest (name, digest) values (:name, :digest)
on conflict (name) do update set digest = excluded.digest;
