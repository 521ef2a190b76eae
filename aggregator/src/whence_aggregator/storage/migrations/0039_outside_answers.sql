-- Answers of code hosts and trackers, kept for conditional requests: by the SHA-256 of the URL and of the login's name. No
-- evidence: what an answer means is recorded as a fact. body is the document, compressed.
create table outside_answer (
    resource text primary key,
    etag text not null,
    next text not null,
    kept_at bigint not null,
    body bytea not null
);
create index outside_answer_age on outside_answer (kept_at);

-- Digests of settings that what is stored depends on, so that a change is noticed at the start.
create table setting_digest (
    name text primary key,
    digest text not null
);
