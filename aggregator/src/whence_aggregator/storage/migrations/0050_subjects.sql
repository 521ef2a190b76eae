-- What entries of the inventory state beyond inventory_history: a JSON object; old entries state none of it.
create table inventory_detail (
    instance_id text not null,
    ledger_index bigint not null,
    details text not null,
    primary key (instance_id, ledger_index)
){compact};

-- Numbers of subjects of verdicts that are not instances: an application version (APPLICATION@VERSION), an application, an
-- AMI or an account. application_id is empty for the last two. rule_set is the set of rules that have judged it; 0 before the first.
create table subject (
    number {key},
    kind text not null,
    id text not null,
    application_id text not null default '',
    rule_set bigint not null default 0,
    unique (id, kind)
);

-- Which of them are to be judged: due counts the changes since they were judged last, of which evidence is the digest of
-- what was known then. Not evidence: a lost row is made again when its instance is judged.
create table subject_due (
    kind text not null,
    id text not null,
    evidence text not null,
    due bigint not null,
    primary key (id, kind)
);
create index subject_due_now on subject_due (kind, id) where due > 0;

-- Verdicts that fold under another: the broken link of the lineage that they depend on.
create table verdict_fold (
    subject_kind text not null,
    subject bigint not null,
    rule text not null,
    link text not null,
    primary key (subject_kind, subject, rule)
){compact};
