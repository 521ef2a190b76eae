-- Sessions of people in the console, sign-ins that have begun, and links that begin a session. No evidence, and in no entry
-- of the log. name is a hash of what the browser holds; sealed holds the token that the session asks the API with.
create table browser_session (
    name text not null primary key,
    kind text not null,
    caller text not null,
    sealed text not null,
    ends_at text not null
){compact};
create index browser_session_ends on browser_session (ends_at);
create index browser_session_caller on browser_session (caller, kind, ends_at);
