-- On whose behalf a question waits, and which host it is asked of, so that neither holds up the others.
alter table task add column lane text not null default 'shared';
alter table task add column host text not null default '';
update task set host = substr(subject, 1, instr(subject, '/') - 1) where kind <> 'inventory' and instr(subject, '/') > 0;
update task set host = 'ec2/' || subject, lane = substr(subject, 1, instr(subject, '/') - 1) where kind = 'inventory';
create index task_lane on task (lane, host, due_at);
