-- Which binding was heard last: an older one's heartbeats say nothing of an instance that has a newer one. 0: not known.
alter table last_seen add column enrolment bigint not null default 0;
