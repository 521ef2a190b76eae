-- Which generations of credentials instances hold, and which mint has made.

-- name: put_instance_credential
insert into instance_credential (instance, file, ledger_index, held, generation, version_id, since)
values (:instance, :file, :ledger_index, :held, :generation, :version_id, :since)
on conflict (instance, file) do update set ledger_index = excluded.ledger_index, held = excluded.held,
    generation = excluded.generation, version_id = excluded.version_id,
    since = case when instance_credential.held = excluded.held and instance_credential.generation = excluded.generation
        and instance_credential.version_id = excluded.version_id then instance_credential.since else excluded.since end;

-- An instance without rows is returned once, with an empty file.

-- name: credential_holders
-- types: file str, held int, generation str, version_id str, seen_at int
select i.instance_id, i.account_id, i.observed_at, coalesce(s.seen_at, 0) as seen_at, coalesce(c.file, '') as file,
    coalesce(c.held, 0) as held, coalesce(c.generation, '') as generation, coalesce(c.version_id, '') as version_id
from facets f join instance i on i.facets = f.number
left join instance_credential c on c.instance = i.number and c.ledger_index = i.ledger_index
left join last_seen s on s.instance_id = i.instance_id
where f.application_id = :application_id and i.ledger_index >= 0
    and i.life in ('pending', 'running', 'stopping', 'unknown')
order by i.number, file;

-- name: held_credentials
-- types: minted int, intended_at str, step str, written str, writing str
select i.instance_id, c.file, c.held, c.generation, c.version_id, c.since,
    case when k.generation is null then 0 else 1 end as minted, coalesce(k.intended_at, '') as intended_at,
    coalesce(k.step, '') as step, coalesce(k.written, '{}') as written, coalesce(g.written, '{}') as writing
from instance i join facets f on f.number = i.facets
join instance_credential c on c.instance = i.number and c.ledger_index = i.ledger_index
left join credential k on k.application_id = f.application_id and k.kind = replace(c.file, '.json', '')
    and k.generation = c.generation
left join mint_generation g on g.application_id = k.application_id and g.kind = k.kind and g.generation = k.generation
where {i.instance_id in texts instance_ids} order by i.number, c.file;

-- readers: the running instances of the application that are heard, and have stated the same objects for so long that they
-- would be silent otherwise: one that has just started has not read yet. A client without a secret is not
-- confidential; what mint does not know any more has one. restored_at: when mint first ran on a restored database.

-- name: live_credentials
-- types: is_read int, readers int, heard_since int, confidential int, restored_at str, wanted str
select k.application_id, k.kind, k.generation, k.step, k.intended_at, k.published_at, k.committed_at,
    case when exists (select 1 from instance_credential c where c.generation = k.generation) then 1 else 0 end as is_read,
    coalesce((select m.confidential from mint_application m where m.application_id = k.application_id), 1) as confidential,
    coalesce((select m.credentials from mint_application m where m.application_id = k.application_id), '[]') as wanted,
    coalesce((select l.restored_at from mint_log l where l.id = 1), '') as restored_at,
    (select count(*) from facets f join instance i on i.facets = f.number
        join instance_credential c on c.instance = i.number and c.ledger_index = i.ledger_index and c.file = 'client.json'
        join last_seen s on s.instance_id = i.instance_id
        where f.application_id = k.application_id and i.life in ('pending', 'running', 'unknown')
            and s.seen_at >= :heard_since and c.since < :heard_since) as readers
from credential k where {k.application_id in texts application_ids} and k.ended_at = ''
order by k.application_id, k.kind, k.committed_at, k.intended_at;

-- Instances that are heard, hold an older generation than the current one, and did not fail for it yet.

-- name: behind_in_credentials
-- types: limit int, committed_before str, heard_since int, after int
select distinct i.instance_id, i.number from credential k join facets f on f.application_id = k.application_id
join instance i on i.facets = f.number
join instance_credential c on c.instance = i.number and c.ledger_index = i.ledger_index and c.file = k.kind || '.json'
join credential o on o.application_id = k.application_id and o.kind = k.kind and o.generation = c.generation
join last_seen s on s.instance_id = i.instance_id
where k.ended_at = '' and k.committed_at <> '' and k.committed_at < :committed_before and o.intended_at < k.intended_at
    and s.seen_at >= :heard_since and i.life in ('pending', 'running', 'unknown') and not exists (
    select 1 from verdict v where v.subject_kind = 'instance' and v.subject = i.number and v.rule = :rule
        and v.verdict = 'fail')
    and i.number > :after
order by i.number limit :limit;

-- name: credentials_to_check
-- types: limit int, checked_later str, settled int, after int
select distinct i.instance_id, i.number from verdict v join instance i on i.number = v.subject
join instance_credential c on c.instance = i.number and c.ledger_index = i.ledger_index
where v.subject_kind = 'instance' and v.rule = :rule and v.verdict = 'unknown' and v.reason like :checked_later
    and c.since < :settled and i.ledger_index >= 0 and i.number > :after
order by i.number limit :limit;

-- Running instances whose agents state no objects, of an application with a bucket that does not hold what mint wrote,
-- and that did not fail for it yet. A renewal that was committed before `settled` was read by all.

-- name: reading_tampered_buckets
-- types: limit int, after int, settled str
select distinct i.instance_id, i.number from credential k join facets f on f.application_id = k.application_id
join instance i on i.facets = f.number
where k.step = 'tampered' and k.ended_at = '' and i.ledger_index >= 0 and i.life in ('pending', 'running', 'unknown')
    and not exists (select 1 from credential n where n.application_id = k.application_id and n.kind = k.kind
        and n.ended_at = '' and n.committed_at > k.committed_at and n.committed_at < :settled)
    and not exists (select 1 from instance_credential c where c.instance = i.number and c.ledger_index = i.ledger_index)
    and not exists (select 1 from verdict v where v.subject_kind = 'instance' and v.subject = i.number
        and v.rule = :rule and v.verdict = 'fail')
    and i.number > :after
order by i.number limit :limit;

-- Instances that failed for that, of an application whose buckets hold what mint wrote again.

-- name: reading_mended_buckets
-- types: limit int, after int, in_bucket str, settled str
select distinct i.instance_id, i.number from verdict v join instance i on i.number = v.subject
join facets f on f.number = i.facets
where v.subject_kind = 'instance' and v.rule = :rule and v.verdict = 'fail' and v.reason like :in_bucket
    and i.ledger_index >= 0 and i.number > :after
    and not exists (select 1 from credential k where k.application_id = f.application_id and k.step = 'tampered'
        and k.ended_at = '' and not exists (select 1 from credential n where n.application_id = k.application_id
            and n.kind = k.kind and n.ended_at = '' and n.committed_at > k.committed_at and n.committed_at < :settled))
order by i.number limit :limit;
