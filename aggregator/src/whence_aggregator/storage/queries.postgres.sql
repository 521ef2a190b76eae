-- name: claim_tasks
update task set due_at = :lease, attempts = attempts + 1
where (kind, subject) in (
    select kind, subject from task where due_at <= :now order by due_at, kind limit :limit for update skip locked)
returning kind, subject, attempts;
