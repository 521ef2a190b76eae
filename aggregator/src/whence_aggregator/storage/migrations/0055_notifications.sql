-- What a violation was after each step, as JSON, so that a notification states it as it was then. Empty for steps of before.
alter table violation_step add column state_after text not null default '';
create index violation_step_entry on violation_step (ledger_index);

-- The rest is not derived from the log. Where notifications are sent to: fed_index is the last step that was planned for the
-- destination. The one that holds the lease sends. paused_until and failures: how it answered last. Times are instants; empty:
-- none.
create table notification_destination (
    name text primary key,
    fed_index bigint not null,
    fed_at text not null,
    lease_by text not null,
    lease_until text not null,
    paused_until text not null,
    failures bigint not null,
    disabled_at text not null,
    disabled_reason text not null
){compact};

-- What a destination was told, or is about to be told, stands: by the step that announces it. committed: it is sent, whatever
-- comes after it.
create table notification_track (
    destination text not null,
    violation text not null,
    announced bigint not null,
    not_before text not null,
    committed bigint not null,
    primary key (destination, violation)
){compact};

-- Steps to send, each once for a destination. state: waiting, sent, dead, skipped or discarded. held: the fault is not
-- confirmed. digest: the mail that it is part of. failure is why the last try failed, or why it is not sent.
create table notification_delivery (
    destination text not null,
    violation text not null,
    ledger_index bigint not null,
    id text not null,
    step text not null,
    state text not null,
    due_at text not null,
    held bigint not null,
    attempts bigint not null,
    first_tried_at text not null,
    digest text not null,
    code text not null,
    failure text not null,
    done_at text not null,
    primary key (destination, violation, ledger_index)
){compact};
create unique index notification_delivery_id on notification_delivery (id);
create index notification_delivery_due on notification_delivery (destination, state, held, due_at);
create index notification_delivery_done on notification_delivery (state, done_at, id);

-- Who had a dead letter sent again, and when.
create table notification_replay (
    id text not null,
    at text not null,
    done_by text not null,
    primary key (id, at)
){compact};
