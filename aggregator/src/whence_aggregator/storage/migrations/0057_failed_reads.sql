-- Since when each attempt of a task has failed; empty: its newest one did not. What rests on its answer is unknown meanwhile.
alter table task add column failed_at text not null default '';
