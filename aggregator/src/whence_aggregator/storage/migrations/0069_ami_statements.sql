-- Statements about AMIs, derived from entries of the kind ami-statement: one row for each, by the entry that brought it.
-- commit_id and repository are empty when the statement does not name one source.
create table ami_statement (
    ledger_index bigint primary key,
    digest text not null,
    name text not null,
    root_digest text not null,
    builder_id text not null,
    key_id text not null,
    repository text not null,
    commit_id text not null,
    modified bigint not null,
    finished_at text not null,
    packages bigint not null,
    recorded_at text not null,
    recorded_by text not null
){compact};
create unique index ami_statement_digest on ami_statement (digest);
create index ami_statement_commit on ami_statement (commit_id);
-- The packages of an image, once for each statement.
create table ami_package (
    statement bigint not null,
    system text not null,
    name text not null,
    architecture text not null,
    version text not null,
    distribution text not null,
    origin text not null,
    suite text not null,
    component text not null,
    primary key (statement, system, name, architecture)
){compact};
create index ami_package_name on ami_package (name, system, statement, version);
-- Which AMIs a statement is about, as callers state it: copies of one image have an id in each region and account.
create table ami_named (
    image_id text not null,
    region text not null,
    statement bigint not null,
    ledger_index bigint not null,
    primary key (image_id, region, statement)
){compact};
create index ami_named_statement on ami_named (statement);
-- What an instance's agent states of its image and of the packages on the machine; a row counts only while it is of the
-- instance's newest statement. differing: how many packages differ from the image's; instance_package has as many rows,
-- unless that is too many. unread: why the packages were not read; empty if they were.
create table instance_image (
    instance bigint primary key,
    ledger_index bigint not null,
    digest text not null,
    name text not null,
    packages_digest text not null,
    differing bigint not null,
    listed bigint not null,
    unread text not null
){compact};
create index instance_image_digest on instance_image (digest, instance);
-- A package of a machine whose version differs from its image's; version is empty if it is not installed.
create table instance_package (
    instance bigint not null,
    name text not null,
    architecture text not null,
    version text not null,
    ledger_index bigint not null,
    primary key (instance, name, architecture)
){compact};
create index instance_package_name on instance_package (name, version, instance);
