-- CloudTrail's events, and how far they were read.
-- types: limit int

-- name: add_cloud_event
insert into cloud_event (account_id, event_id, ledger_index, region, name, source, event_at, doer, detail)
values (:account_id, :event_id, :ledger_index, :region, :name, :source, :event_at, :doer, :detail);

-- name: add_cloud_event_instance
insert into cloud_event_instance (instance_id, account_id, ledger_index, event_at, name)
values (:instance_id, :account_id, :ledger_index, :event_at, :name);

-- name: unjudge_of_account
update instance set judged = case when judged < 0 then judged - 1 else -1 end where account_id = :account_id and {instance_id in texts instance_ids};

-- name: cloud_events_known
select event_id from cloud_event where account_id = :account_id and {event_id in texts event_ids};

-- name: look_soon
-- types: soon str
update task set due_at = :soon where kind = :kind and subject = :subject and attempts = 0 and due_at > :soon;

-- name: trail_objects_known
select bucket, object_key, etag, digest from trail_object where bucket = :bucket and {object_key in texts object_keys};

-- name: put_trail_object
insert into trail_object (bucket, object_key, etag, digest, read_at)
values (:bucket, :object_key, :etag, :digest, :read_at)
on conflict (bucket, object_key) do update set etag = excluded.etag, digest = excluded.digest,
    read_at = excluded.read_at;

-- name: drop_trail_object
delete from trail_object where bucket = :bucket and object_key = :object_key;

-- name: drop_trail_objects
-- types: before int
delete from trail_object where read_at < :before;

-- name: add_trail_dead
insert into trail_dead (id, sort, place, number, body, code, reason, account_id, region, dead_at)
values (:id, :sort, :place, :number, :body, :code, :reason, :account_id, :region, :dead_at)
on conflict (id) do nothing;

-- name: trail_dead_page
-- types: after_at int, after_id str
select id, sort, place, number, body, code, reason, account_id, region, dead_at from trail_dead
where (dead_at, id) > (:after_at, :after_id) order by dead_at, id limit :limit;

-- name: trail_dead_one
select id, sort, place, number, body, code, reason, account_id, region, dead_at from trail_dead where id = :id;

-- name: drop_trail_dead
delete from trail_dead where id = :id;

-- name: count_trail_dead
-- types: n int
select code, count(*) as n from trail_dead group by code order by code;

-- name: trail_covered
insert into trail_coverage (account_id, region, newest_at, read_at, failed_at, failure)
values (:account_id, :region, :newest_at, :read_at, null, '')
on conflict (account_id, region) do update set read_at = excluded.read_at, failed_at = null, failure = '',
    newest_at = case when trail_coverage.newest_at is null or excluded.newest_at > trail_coverage.newest_at
        then excluded.newest_at else trail_coverage.newest_at end;

-- name: trail_uncovered
insert into trail_coverage (account_id, region, newest_at, read_at, failed_at, failure)
values (:account_id, :region, null, null, :failed_at, :failure)
on conflict (account_id, region) do update set failed_at = excluded.failed_at, failure = excluded.failure;

-- name: trail_coverages
select account_id, region, newest_at, read_at, failed_at, failure from trail_coverage order by account_id, region;

-- name: trail_coverages_of
select account_id, region, newest_at, read_at, failed_at, failure from trail_coverage
where {account_id in texts accounts} order by account_id, region;

-- name: trail_queue_asked
insert into trail_queue (url, region, asked_at, waiting, oldest_at, failed_at, failure)
values (:url, :region, :asked_at, :waiting, :oldest_at, null, '')
on conflict (url) do update set region = excluded.region, asked_at = excluded.asked_at, waiting = excluded.waiting,
    oldest_at = excluded.oldest_at, failed_at = null, failure = '';

-- name: trail_queue_failed
insert into trail_queue (url, region, asked_at, waiting, oldest_at, failed_at, failure)
values (:url, :region, null, 0, null, :failed_at, :failure)
on conflict (url) do update set failed_at = excluded.failed_at, failure = excluded.failure;

-- name: trail_queues
select url, region, asked_at, waiting, oldest_at, failed_at, failure from trail_queue order by url;

-- name: keep_trail_queues
delete from trail_queue where not {url in texts urls};

-- name: trail_tasks_waiting
-- types: n int, kinds str
select count(*) as n from task where {kind in texts kinds};

-- name: trail_changes
select account_id, region, event_id, ledger_index, name, event_at, doer, detail from (
    select account_id, region, event_id, ledger_index, name, event_at, doer, detail,
        row_number() over (partition by account_id, region order by event_at desc, ledger_index desc) as place
    from cloud_event where source = 'cloudtrail.amazonaws.com') as changes
where place <= :limit order by account_id, region, place;

-- name: add_trail_verification
insert into trail_verification (account_id, region, chain, ledger_index, state, reason, observed_at)
values (:account_id, :region, :chain, :ledger_index, :state, :reason, :observed_at);

-- name: trail_verifications
select v.account_id, v.region, v.chain, v.ledger_index, v.state, v.reason, v.observed_at from trail_verification v
where v.ledger_index = (select max(n.ledger_index) from trail_verification n
    where n.account_id = v.account_id and n.region = v.region and n.chain = v.chain)
order by v.account_id, v.region, v.chain;

-- name: put_trail_digest
insert into trail_digest (bucket, object_key, account_id, region, chain, starts_at, ends_at, content_digest,
    previous_place, previous_hash, previous_signature, state, reason, files, files_missing, files_invalid, verified_at)
values (:bucket, :object_key, :account_id, :region, :chain, :starts_at, :ends_at, :content_digest,
    :previous_place, :previous_hash, :previous_signature, :state, :reason, :files, :files_missing, :files_invalid,
    :verified_at)
on conflict (bucket, object_key) do update set starts_at = excluded.starts_at, ends_at = excluded.ends_at,
    content_digest = excluded.content_digest, previous_place = excluded.previous_place,
    previous_hash = excluded.previous_hash, previous_signature = excluded.previous_signature, state = excluded.state,
    reason = excluded.reason, files = excluded.files, files_missing = excluded.files_missing,
    files_invalid = excluded.files_invalid, verified_at = excluded.verified_at;

-- name: trail_digests_of_chain
select bucket, object_key, starts_at, ends_at, content_digest, previous_place, previous_hash, state, reason, files,
    files_missing, files_invalid, verified_at
from trail_digest where account_id = :account_id and region = :region and chain = :chain
order by verified_at desc, object_key limit :limit;

-- name: trail_digest_state
select state from trail_digest where bucket = :bucket and object_key = :object_key;

-- name: signature_by_successor
select previous_signature, previous_hash from trail_digest where previous_place = :previous_place and state = 'valid'
limit 1;

-- name: drop_trail_digests
-- types: before int
delete from trail_digest where ends_at < :before;

-- name: trail_chain_stated
select state, reason from trail_verification where account_id = :account_id and region = :region and chain = :chain
order by ledger_index desc limit 1;

-- name: trail_chains_read
-- types: verified_at int, ends_at int
select account_id, region, chain, max(verified_at) as verified_at, max(ends_at) as ends_at from trail_digest
group by account_id, region, chain order by account_id, region, chain;

-- name: trail_key
select content from trail_key where region = :region and fingerprint = :fingerprint;

-- name: put_trail_key
insert into trail_key (region, fingerprint, content, fetched_at) values (:region, :fingerprint, :content, :fetched_at)
on conflict (region, fingerprint) do nothing;

-- Events of an instance's own account that touched it, the newest first: what a violation may be caused by.

-- name: events_of_instance
-- types: past int, before int, after_at int, after int
select c.ledger_index, c.event_id, c.account_id, c.region, c.name, c.event_at, c.doer, c.detail
from cloud_event_instance e join cloud_event c on c.ledger_index = e.ledger_index
where e.instance_id = :instance_id and e.ledger_index < :past and e.event_at < :before
    and (e.event_at < :after_at or (e.event_at = :after_at and e.ledger_index < :after))
    and not exists (select 1 from instance i where i.instance_id = e.instance_id and i.account_id <> e.account_id)
order by e.event_at desc, e.ledger_index desc limit :limit;

-- Sessions of roles: calls of STS, which are recorded once an event refers to them.

-- name: sessions_known
select event_id from role_session where account_id = :account_id and {event_id in texts event_ids};

-- name: keep_session
insert into trail_session (account_id, event_id, access_key, shared_id, content, own, seen_at)
values (:account_id, :event_id, :access_key, :shared_id, :content, :own, :seen_at)
on conflict (account_id, event_id) do nothing;

-- name: words_wanted
-- types: words str
select word from session_word where {word in texts words};

-- name: sessions_kept
-- types: words str
select own, account_id, event_id, content from trail_session where access_key <> '' and {access_key in texts words}
union select own, account_id, event_id, content from trail_session where shared_id <> '' and {shared_id in texts words}
order by own desc, account_id, event_id limit :limit;

-- name: drop_session
delete from trail_session where account_id = :account_id and event_id = :event_id;

-- name: drop_sessions
-- types: before int
delete from trail_session where seen_at < :before;

-- name: drop_sessions_beyond
-- types: kept int
delete from trail_session where (account_id, event_id) in (
    select account_id, event_id from (
        select account_id, event_id,
            row_number() over (partition by account_id order by seen_at desc, event_id) as place
        from trail_session) as kept_sessions
    where place > :kept);

-- name: add_role_session
insert into role_session (account_id, event_id, ledger_index, access_key, caller_key, shared_id, role, event_at, doer)
values (:account_id, :event_id, :ledger_index, :access_key, :caller_key, :shared_id, :role, :event_at, :doer);

-- name: add_session_word
insert into session_word (word) values (:word) on conflict (word) do nothing;
