-- What an instance's agent states of the objects of the mint bucket, derived from statements: a row for each object that an
-- application may have; held: whether it is published to the application. A row counts only while it is of the newest
-- statement of the instance: agents that state no objects write no rows. since: the observation time, in milliseconds, of
-- the first statement of the same object.
create table instance_credential (
    instance bigint not null,
    file text not null,
    ledger_index bigint not null,
    held bigint not null,
    generation text not null,
    version_id text not null,
    since bigint not null,
    primary key (instance, file)
);
create index instance_credential_generation on instance_credential (generation);
create index credential_live on credential (application_id, kind) where ended_at = '';
