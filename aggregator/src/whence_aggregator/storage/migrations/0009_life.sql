-- Life, and what it is derived from (trace/life.py): the newest listed state, when that listing began, and when the
-- newest statement was recorded, both in milliseconds. life_index is the entry that life changed with.
alter table instance add column listed text not null default '';
alter table instance add column asked_at bigint not null default 0;
alter table instance add column spoke_at bigint not null default 0;
alter table instance add column life text not null default 'unknown';
alter table instance add column life_index bigint not null default -1;
create index instance_living on instance (facets, number) where life in ('running', 'unknown');
create index instance_alive on instance (number) where life in ('running', 'unknown');
create index instance_never_listed on instance (account_id, region, instance_id) where listed = '';
create index instance_terminated on instance (number) where life = 'terminated';

-- The history of life: the newest row before a bound in the log is what was known then. An instance without one: unknown.
create table life (
    instance bigint not null,
    ledger_index bigint not null,
    life text not null,
    primary key (instance, ledger_index)
){compact};

-- The inventory, and all that it ever was.
alter table inventory add column asked_at bigint not null default 0;
create table inventory_history (
    instance_id text not null,
    ledger_index bigint not null,
    account_id text not null,
    region text not null,
    state text not null,
    launched_at text not null,
    user_data_digest text not null,
    user_data_unread text not null,
    asked_at bigint not null,
    primary key (instance_id, ledger_index)
){compact};

-- When the newest listing of an account and region began, when the last complete one did, null before the first, and the
-- failure since, if any. No evidence by itself and in no entry, as last_seen is not.
create table listing (
    account_id text not null,
    region text not null,
    begun_at bigint not null,
    listed_at bigint,
    instances bigint not null,
    failed_at bigint,
    failure text not null,
    primary key (account_id, region)
){compact};
