-- The time of recording is a bound in the log: latest is the latest clock so far, so that it never falls.
alter table clock add column latest bigint not null default 0;
update clock set latest = (select max(c.recorded_at) from clock c where c.ledger_index <= clock.ledger_index);
create index clock_latest on clock (latest, ledger_index);

-- When the machine of a binding was launched, as its identity document says: no statement under it is of an earlier time.
alter table enrolment add column pending_at bigint not null default 0;

-- The first statement that was recorded of an instance, the earliest time that any of its statements names, and by how much
-- the first recording is later than that: the way to those whose statements all came after the time asked about. Most come
-- within minutes; the others have an index of their own.
alter table instance add column first_index bigint not null default -1;
alter table instance add column earliest bigint not null default 0;
alter table instance add column late_millis bigint not null default 0;
update instance set
    first_index = coalesce((select min(s.ledger_index) from statement s where s.instance = instance.number), -1),
    earliest = coalesce((select min(s.observed_at) from statement s where s.instance = instance.number), 0);
update instance set late_millis = coalesce((
    select c.latest from clock c where c.ledger_index <= instance.first_index order by c.ledger_index desc limit 1
    ) - earliest, 0);
create index instance_first on instance (first_index, earliest, number);
create index instance_late on instance (number) where late_millis > 600000;

-- The first entry that says so: a question about what was known then does not follow what was learned since.
alter table image_commit add column ledger_index bigint not null default 0;
alter table commit_word add column ledger_index bigint not null default 0;
