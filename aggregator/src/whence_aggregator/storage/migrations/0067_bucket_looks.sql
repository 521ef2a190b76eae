-- looks is a JSON object by bucket: when mint last looked whether the bucket still holds the generation, and what it
-- found. disturbed: how many generations in a row, up to this one, were found not to be what mint wrote.
alter table mint_generation add column looks text not null default '{}';
alter table mint_generation add column disturbed bigint not null default 0;

-- The log's name when mint ran last, and since when it has this name if it had another one before: the database was
-- then restored from a backup, and buckets may hold what mint wrote in the time that was lost.
create table mint_log (
    id bigint not null primary key,
    origin text not null,
    restored_at text not null
);

create index credential_tampered on credential (application_id) where step = 'tampered';
