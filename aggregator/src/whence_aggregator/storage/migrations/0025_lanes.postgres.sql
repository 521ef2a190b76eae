-- On whose behalf a question waits, and which host it is asked of, so that neither holds up the others.
alter table task add column lane text not null default 'shared';
alter table task add column host text not null default '';
update task set host = split_part(subject, '/', 1) where kind <> 'inventory';
update task set host = 'ec2/' || subject, lane = split_part(subject, '/', 1) where kind = 'inventory';
create index task_lane on task (lane, host, due_at);
