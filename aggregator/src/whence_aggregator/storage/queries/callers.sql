-- Tokens of callers.

-- By the hash of the token. If two replicas write, the later use is kept.

-- name: note_token_use
insert into token_use (token, used_at) values (:token, :used_at)
on conflict (token) do update set used_at = excluded.used_at where token_use.used_at < excluded.used_at;

-- name: token_uses
select token, used_at from token_use order by token;

-- Sessions of browsers. kind: session, sign-in (begun at an issuer), link (begins a session once).

-- name: add_browser_session
insert into browser_session (name, kind, caller, sealed, ends_at) values (:name, :kind, :caller, :sealed, :ends_at);

-- name: browser_session
select sealed, ends_at from browser_session where name = :name and kind = :kind;

-- Ends a session, and is how a sign-in and a link are used once: only one caller receives the row.
-- name: take_browser_session
delete from browser_session where name = :name and kind = :kind returning sealed, ends_at;

-- name: forget_browser_sessions
-- types: now str
delete from browser_session where ends_at <= :now;

-- The oldest beyond the number that one caller may have.
-- name: forget_further_sessions
-- types: most int
delete from browser_session where name in (
    select name from browser_session where caller = :caller and kind = :kind order by ends_at desc limit 100 offset :most
);

-- name: count_browser_sessions
-- types: n int
select count(*) as n from browser_session where kind = :kind;
