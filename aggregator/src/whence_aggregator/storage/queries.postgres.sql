-- name: due_tasks_of_each
with recursive pairs (lane, host) as (
    (select lane, host from task order by lane, host limit 1)
    union all
    select n.lane, n.host from pairs p cross join lateral (
        select t.lane, t.host from task t where (t.lane, t.host) > (p.lane, p.host) order by t.lane, t.host limit 1) n)
select t.kind, t.subject, t.due_at, t.lane, t.host from pairs p cross join lateral (
    select d.kind, d.subject, d.due_at, d.lane, d.host from task d
    where d.lane = p.lane and d.host = p.host and d.due_at <= :now order by d.due_at limit :each) t
limit :limit;

-- name: instances_with_facets_now
select i.*, l.seen_at,
    (select c.recorded_at from clock c where c.ledger_index <= i.ledger_index order by c.ledger_index desc limit 1)
        as recorded_at,
    (select c.recorded_at from clock c where c.ledger_index <= i.life_index order by c.ledger_index desc limit 1)
        as life_since
from (
    select n.* from unnest(cast(:facets as bigint[])) as w (facets) cross join lateral (
        select number, facets, instance_id, account_id, region, cause, observed_at, ledger_index, life, life_index
        from instance
        where facets = w.facets and number > :after and (cast(:cause as text) is null or cause = :cause)
            and ledger_index >= :first and ledger_index < :before
            and (cast(:ami as text) is null or image_id = :ami)
            and life in ('running', 'unknown') and (life = 'running' or exists (
            select 1 from last_seen s where s.instance_id = instance.instance_id and s.seen_at >= :silent_before))
        order by number limit :limit) n
    order by n.number limit :limit) i
left join last_seen l on l.instance_id = i.instance_id
order by i.number;

-- name: enrolments_by_key
select f.* from generate_series(1, length(cast(:key_ids as bytea)), 32) as p (at) cross join lateral (
    select n.key_id, i.instance_id, i.number as instance, i.account_id, i.region, n.number, n.ledger_index, e.body, e.base, b.body as base_body
    from enrolment n join instance i on i.number = n.instance join entry e on e.ledger_index = n.ledger_index
    left join entry b on b.ledger_index = e.base
    where n.key_id = substr(cast(:key_ids as bytea), p.at, 32) limit 1) f;
