-- Notifications: what is planned, sent and dead, by destination.
-- types: limit int, now str

-- name: newest_step
-- types: entry int
select coalesce(max(ledger_index), -1) as entry from violation_step;

-- name: add_notification_destination
insert into notification_destination (name, fed_index, fed_at, lease_by, lease_until, paused_until, failures, disabled_at,
    disabled_reason)
values (:name, :fed_index, :fed_at, '', '', '', 0, '', '')
on conflict (name) do update set fed_index = excluded.fed_index, fed_at = excluded.fed_at;

-- name: fed_to
update notification_destination set fed_index = :fed_index, fed_at = :fed_at where name = :name;

-- name: notification_destinations
-- types: due_at str?
select n.name, n.fed_index, n.fed_at, n.lease_by, n.lease_until, n.paused_until, n.failures, n.disabled_at,
    n.disabled_reason, (select min(d.due_at) from notification_delivery d
        where d.destination = n.name and d.state = 'waiting' and d.held = 0) as due_at
from notification_destination n where {n.name in texts names} order by n.name{binary};

-- name: steps_to_plan
-- types: after int
select violation, ledger_index, step, at, state_after from violation_step
where ledger_index > :after order by ledger_index limit :limit;

-- name: notification_tracks
-- types: state str?, attempts int?, held int?
select t.destination, t.violation, t.announced, t.not_before, t.committed, d.state, d.attempts, d.held
from notification_track t left join notification_delivery d
    on d.destination = t.destination and d.violation = t.violation and d.ledger_index = t.announced
where t.destination = :destination and {t.violation in texts violations};

-- name: put_notification_track
insert into notification_track (destination, violation, announced, not_before, committed)
values (:destination, :violation, :announced, :not_before, :committed)
on conflict (destination, violation) do update set announced = excluded.announced, not_before = excluded.not_before,
    committed = excluded.committed;

-- name: drop_notification_track
delete from notification_track where destination = :destination and violation = :violation;

-- name: add_notification
insert into notification_delivery (destination, violation, ledger_index, id, step, state, due_at, held, attempts,
    first_tried_at, digest, code, failure, done_at)
values (:destination, :violation, :ledger_index, :id, :step, 'waiting', :due_at, 0, 0, '', '', '', '', '')
on conflict (destination, violation, ledger_index) do nothing;

-- name: skip_notification
update notification_delivery set state = 'skipped', code = :code, failure = :failure, done_at = :done_at
where destination = :destination and violation = :violation and ledger_index = :ledger_index and state = 'waiting'
    and attempts = 0;

-- What waited for a destination that was away, and what it was told.

-- name: skip_waiting_notifications
update notification_delivery set state = 'skipped', code = 'away', failure = 'the destination was not configured for a week',
    done_at = :done_at where destination = :destination and state = 'waiting';

-- name: drop_notification_tracks
delete from notification_track where destination = :destination;

-- name: hold_notification
update notification_delivery set held = :held
where destination = :destination and violation = :violation and ledger_index = :ledger_index and state = 'waiting'
    and attempts = 0;

-- name: next_notification
-- types: until str
select d.destination, d.violation, d.ledger_index, d.id, d.attempts, d.first_tried_at, d.digest, s.step, s.at, s.done_by,
    s.comment, s.state_after
from notification_delivery d join violation_step s on s.violation = d.violation and s.ledger_index = d.ledger_index
where d.destination = :destination and d.state = 'waiting' and d.held = 0 and d.due_at <= :until
    and not exists (select 1 from notification_delivery e where e.destination = d.destination
        and e.violation = d.violation and e.state = 'waiting' and e.ledger_index < d.ledger_index)
order by d.due_at, d.ledger_index limit 1;

-- The mail that was begun and is not known to be sent, if there is one.

-- name: begun_digest
select d.destination, d.violation, d.ledger_index, d.id, d.attempts, d.first_tried_at, d.digest, s.step, s.at, s.done_by,
    s.comment, s.state_after
from notification_delivery d join violation_step s on s.violation = d.violation and s.ledger_index = d.ledger_index
where d.destination = :destination and d.state = 'waiting' and d.digest = (
    select min(o.digest) from notification_delivery o
    where o.destination = :destination and o.state = 'waiting' and o.digest <> '')
order by d.violation{binary}, d.ledger_index;

-- name: next_digest
-- types: until str
select d.destination, d.violation, d.ledger_index, d.id, d.attempts, d.first_tried_at, d.digest, s.step, s.at, s.done_by,
    s.comment, s.state_after
from notification_delivery d join violation_step s on s.violation = d.violation and s.ledger_index = d.ledger_index
where d.destination = :destination and d.state = 'waiting' and d.held = 0 and d.due_at <= :until
    and not exists (select 1 from notification_delivery e where e.destination = d.destination
        and e.violation = d.violation and e.state = 'waiting' and e.ledger_index < d.ledger_index
        and (e.held = 1 or e.due_at > :until))
order by d.violation{binary}, d.ledger_index limit :limit;

-- Messages that arrived since: those of a summary are one.

-- name: notified_since
-- types: since str, n int, oldest str?
select count(distinct case when digest = '' then id else digest end) as n, min(done_at) as oldest
from notification_delivery where destination = :destination and state = 'sent' and done_at > :since;

-- name: lease_destination
-- types: lease_until str
update notification_destination set lease_by = :lease_by, lease_until = :lease_until
where name = :name and disabled_at = '' and paused_until <= :now and (lease_until <= :now or lease_by = :lease_by)
returning name;

-- name: release_destination
update notification_destination set lease_until = '' where name = :name and lease_by = :lease_by;

-- name: try_notification
update notification_delivery set attempts = :attempts, first_tried_at = :first_tried_at, digest = :digest
where destination = :destination and violation = :violation and ledger_index = :ledger_index;

-- name: mark_notification
update notification_delivery set state = :state, due_at = case when cast(:due_at as text) = '' then due_at else :due_at end,
    code = :code, failure = :failure, done_at = :done_at
where destination = :destination and violation = :violation and ledger_index = :ledger_index and state = 'waiting'
    and attempts = :attempts;

-- name: mark_destination
update notification_destination set paused_until = :paused_until, failures = :failures,
    lease_until = case when lease_by = :lease_by then '' else lease_until end
where name = :name;

-- name: disable_destination
update notification_destination set disabled_at = :disabled_at, disabled_reason = :disabled_reason, lease_until = ''
where name = :name;

-- name: enable_destination
update notification_destination set disabled_at = '', disabled_reason = '', paused_until = '', failures = 0
where name = :name and disabled_at <> '' returning name;

-- name: count_notifications
-- types: n int, oldest str?
select destination, state, count(*) as n, min(case when held = 0 then due_at end) as oldest from notification_delivery
where state in ('waiting', 'dead') group by destination, state order by destination, state;

-- name: dead_notifications
-- types: after_at str, after_id str
select d.id, d.destination, d.violation, d.step, d.ledger_index, d.attempts, d.first_tried_at, d.code, d.failure, d.done_at
from notification_delivery d
where d.state = 'dead' and (cast(:destination as text) is null or d.destination = :destination)
    and (d.done_at, d.id) > (:after_at, :after_id)
order by d.done_at, d.id limit :limit;

-- name: revive_notification
update notification_delivery set state = 'waiting', due_at = :due_at, attempts = 0, first_tried_at = '', digest = '',
    code = '', failure = '', done_at = ''
where id = :id and state = 'dead' returning id;

-- name: add_notification_replay
insert into notification_replay (id, at, done_by) values (:id, :at, :done_by) on conflict (id, at) do nothing;

-- name: discard_notification
update notification_delivery set state = 'discarded', done_at = :done_at where id = :id and state = 'dead' returning id;

-- Destinations that no replica has had in its settings for long.

-- name: away_destinations
-- types: before str
select name from notification_destination where fed_at < :before order by name{binary};

-- name: drop_away_destination
-- types: before str
delete from notification_destination where name = :name and fed_at < :before returning name;

-- name: drop_old_notifications
-- types: before str
delete from notification_delivery where state in ('sent', 'skipped', 'discarded') and done_at < :before;
