-- Since when each attempt of a task has failed; empty: its newest one did not. What rests on its answer is unknown meanwhile.
alter table task add column failed_at text not null default '';

-- Instances that were marked because of a new fact: they are judged before those that only made a statement.
create index instance_marked on instance (number) where judged < 0;
