-- Waiting tasks.
-- types: limit int, now str, waiting_max int

-- name: add_task_unless_known
insert into task (kind, subject, due_at, attempts, reason, lane, host)
select cast(:kind as text), cast(:subject as text), cast(:due_at as text), 0, '', cast(:lane as text), cast(:host as text)
where not exists (select 1 from fact where kind = :kind and subject = :subject)
on conflict (kind, subject) do update set lane = case when task.lane = 'ranges' then excluded.lane else 'shared' end
where task.lane <> excluded.lane and excluded.lane <> 'ranges';

-- name: add_task_unless_full
insert into task (kind, subject, due_at, attempts, reason, lane, host)
select cast(:kind as text), cast(:subject as text), cast(:due_at as text), 0, '', cast(:lane as text), cast(:host as text)
where not exists (select 1 from fact where kind = :kind and subject = :subject) and (
    select count(*) from (
        select 1 from task where kind = :kind and lane = :lane and due_at <= :due_at limit :waiting_max) as waiting
    ) < :waiting_max
on conflict (kind, subject) do update set lane = 'shared' where task.lane <> excluded.lane;

-- name: add_task
insert into task (kind, subject, due_at, attempts, reason, lane, host)
values (:kind, :subject, :due_at, 0, '', :lane, :host)
on conflict (kind, subject) do update set lane = case when task.lane = 'ranges' then excluded.lane else 'shared' end
where task.lane <> excluded.lane and excluded.lane <> 'ranges';

-- name: due_tasks
select kind, subject, due_at, lane, host from task where due_at <= :now order by due_at, kind limit :limit;

-- name: due_tasks_of_each
-- types: each int
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
-- types: lease str
update task set due_at = :lease, attempts = attempts + 1
where kind = :kind and subject = :subject and due_at = :due_at
returning attempts, reason, failed_at;

-- name: next_due
-- types: due_at str?
select min(due_at) as due_at from task where due_at > :now;

-- name: oldest_due
-- types: due_at str?
select min(due_at) as due_at from task;

-- name: count_tasks
-- types: kind str, n int
select kind, n from (
    select kind, count(*) as n from task
    where kind <> 'inventory' and not (attempts = 0 and reason <> '') group by kind
    union all select 'evaluate' as kind, count(*) as n from instance where judged < ledger_index
) as waiting where n > 0 order by kind;

-- name: postpone_task
update task set due_at = :due_at, reason = :reason, host = :host,
    failed_at = case when failed_at = '' then :failed_at else failed_at end
where kind = :kind and subject = :subject;

-- name: forget_task
delete from task where kind = :kind and subject = :subject;

-- What `look_again` counted since the task was claimed is looked at now.

-- name: repeat_task
-- types: claimed int, soon str
update task set due_at = case when attempts > :claimed then :soon else :due_at end, reason = :reason, attempts = 0,
    failed_at = ''
where kind = :kind and subject = :subject;

-- A task that is being done may have read what changed before it did: it is due again as soon as it is done.

-- name: look_again
-- types: soon str
update task set attempts = attempts + 1 where kind = :kind and subject = :subject and attempts > 0 and due_at > :soon;

-- Its source was not asked: whether reading it fails is as it was.

-- name: put_off_task
update task set due_at = :due_at, reason = case when failed_at = '' then :reason else reason end, attempts = 0
where kind = :kind and subject = :subject;

-- name: tasks_of_kind
select kind, subject, due_at, attempts, reason from task where kind = :kind order by subject;

-- name: finish_task
-- types: lease str
delete from task where kind = :kind and subject = :subject and due_at = :lease;

-- name: due_in_lane
-- types: n int
select count(*) as n from (select 1 from task where lane = :lane and due_at <= :now limit :limit) as waiting;

-- name: tasks_of
select kind, subject, due_at, attempts, reason, failed_at from task where kind = :kind and {subject in texts subjects};
