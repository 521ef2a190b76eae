-- Tokens of callers.

-- By the hash of the token. If two replicas write, the later use is kept.

-- name: note_token_use
insert into token_use (token, used_at) values (:token, :used_at)
on conflict (token) do update set used_at = excluded.used_at where token_use.used_at < excluded.used_at;

-- name: token_uses
select token, used_at from token_use order by token;
