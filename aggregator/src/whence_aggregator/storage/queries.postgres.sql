-- name: claim_tasks
update task set due_at = :lease, attempts = attempts + 1
where (kind, subject) in (
    select kind, subject from task where due_at <= :now order by due_at, kind limit :limit for update skip locked)
returning kind, subject, attempts;

-- name: instances_with_facets
select i.number, i.instance_id, i.account_id, i.region, i.cause, i.observed_at, i.ledger_index, l.seen_at,
    f.application_id, f.application_version, f.user_data_digest, f.image_digest
from (
    select n.* from unnest(cast(:facets as bigint[])) as w (facets) cross join lateral (
        select number, instance_id, account_id, region, cause, observed_at, ledger_index, facets from instance
        where facets = w.facets and number > :after and (cast(:cause as text) is null or cause = :cause)
        order by number limit :limit) n
    order by n.number limit :limit) i
join facets f on f.number = i.facets left join last_seen l on l.instance_id = i.instance_id
order by i.number;
