-- The counter of the last heartbeat that was taken under last_seen.enrolment; 0: none was. Only a higher one is taken.
-- skew_millis is its sent_at less the time it arrived; skew_confirmed is 1 when the heartbeats before it showed the same.
-- beat_seal is a MAC over these three, null while the counter is 0.
alter table last_seen add column counter bigint not null default 0;
alter table last_seen add column skew_millis bigint not null default 0;
alter table last_seen add column skew_confirmed bigint not null default 0;
alter table last_seen add column beat_seal bytea;
-- The few whose heartbeats show that their clock is wrong: five minutes, as CLOCK_OFF_SECONDS in sightings.py.
create index last_seen_clock_off on last_seen (instance_id)
    where skew_millis > 300000 or (skew_millis < -300000 and skew_confirmed = 1);
