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
