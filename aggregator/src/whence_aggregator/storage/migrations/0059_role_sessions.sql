-- Calls of STS by which recorded events are of a person, each an entry of the log. access_key and caller_key are ids of
-- temporary keys: the one that the call made, and the one that it was made with. doer is who called, as JSON.
create table role_session (
    account_id text not null,
    event_id text not null,
    ledger_index bigint not null,
    access_key text not null,
    caller_key text not null,
    shared_id text not null,
    role text not null,
    event_at bigint not null,
    doer text not null,
    primary key (account_id, event_id)
){compact};
create index role_session_key on role_session (access_key) where access_key <> '';
create index role_session_shared on role_session (shared_id) where shared_id <> '';

-- Ids of keys, and shared ids of calls, that recorded entries refer to: a call that has one of them is recorded when it comes.
create table session_word (
    word text primary key
){compact};

-- No evidence and in no entry: calls that no recorded event refers to, dropped after three days. content is the entry that
-- they would be, as JSON; own is 1 if the role's own account recorded it; seen_at is in milliseconds.
create table trail_session (
    account_id text not null,
    event_id text not null,
    access_key text not null,
    shared_id text not null,
    content text not null,
    own bigint not null,
    seen_at bigint not null,
    primary key (account_id, event_id)
){compact};
create index trail_session_key on trail_session (access_key) where access_key <> '';
create index trail_session_shared on trail_session (shared_id) where shared_id <> '';
create index trail_session_seen on trail_session (seen_at);

-- Findings that are open, as metrics count them.
create index finding_open on finding (product) where until_index = 4611686018427387904 and closed = '' and result = 'fail';
