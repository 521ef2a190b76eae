-- How many rules judge subjects how, kept by whoever changes verdicts: a summary reads no verdict. rule '' counts the subjects
-- themselves: failed where any rule fails, else unknown, else folded, else passed. folded: verdicts that fold under another.
-- account_id is `*` for subjects of no single account. Verdicts about what is gone are not counted.
create table verdict_count (
    account_id text not null,
    application_id text not null,
    subject_kind text not null,
    rule text not null,
    passed bigint not null,
    failed bigint not null,
    unknown bigint not null,
    folded bigint not null,
    primary key (account_id, application_id, subject_kind, rule)
){compact};
create index verdict_count_application on verdict_count (application_id);
create index verdict_count_rule on verdict_count (rule);

-- The same counts summed up for summaries of everything: scope is rule, account or application, and name the one of them.
-- of_subjects: 1 for counts of subjects, whose rule is ''.
create table verdict_total (
    scope text not null,
    name text not null,
    subject_kind text not null,
    of_subjects bigint not null,
    passed bigint not null,
    failed bigint not null,
    unknown bigint not null,
    folded bigint not null,
    primary key (scope, name, subject_kind, of_subjects)
){compact};

-- The application that an instance is counted for.
create table counted_instance (
    instance bigint primary key,
    application_id text not null
);

-- Daily snapshots: the days, and the counts that changed by a day. A count holds until the next day that states it.
create table summary_day (
    day text primary key,
    at text not null,
    ledger_index bigint not null
);
create table summary_count (
    account_id text not null,
    application_id text not null,
    subject_kind text not null,
    rule text not null,
    day text not null,
    ledger_index bigint not null,
    passed bigint not null,
    failed bigint not null,
    unknown bigint not null,
    folded bigint not null,
    primary key (account_id, application_id, subject_kind, rule, day)
){compact};
create index summary_count_application on summary_count (application_id);

-- Files of reports, by their digests.
create table report_file (
    ledger_index bigint not null,
    name text not null,
    digest text not null,
    team_id text not null,
    account_id text not null,
    since text not null,
    until text not null,
    made_at text not null,
    made_by text not null,
    primary key (ledger_index, name)
){compact};
create index report_file_digest on report_file (digest);

-- Counts of the verdicts that stand, which earlier versions did not keep.
insert into counted_instance (instance, application_id)
select i.number, coalesce(f.application_id, '') from instance i left join facets f on f.number = i.facets
where i.rule_set > 0;

insert into verdict_count (account_id, application_id, subject_kind, rule, passed, failed, unknown, folded)
with judged as (
    select 'instance' as kind, i.number, i.account_id, coalesce(f.application_id, '') as application_id,
        i.rule_set as set_number
    from instance i left join facets f on f.number = i.facets
    union all
    select s.kind, s.number, case when s.kind = 'account' then s.id else '*' end, s.application_id, s.rule_set
    from subject s
), stated as (
    select j.kind, j.number, j.account_id, j.application_id, r.rule,
        case when v.verdict = 'gone' then null when d.link is not null and v.verdict <> 'pass' then 2
            when v.verdict = 'unknown' then 3 when v.verdict = 'fail' then 4 else 1 end as form
    from judged j join (select rule_set.number as set_number, k.key as rule from rule_set, {keys}) r
        on r.set_number = j.set_number
    left join verdict v on v.subject_kind = j.kind and v.subject = j.number and v.rule = r.rule
    left join verdict_fold d on d.subject_kind = j.kind and d.subject = j.number and d.rule = r.rule
), every as (
    select kind, number, account_id, application_id, rule, form from stated where form is not null
    union all
    select kind, number, account_id, application_id, '' as rule, max(form) as form from stated where form is not null
    group by kind, number, account_id, application_id
)
select account_id, application_id, kind, rule, sum(case when form = 1 then 1 else 0 end),
    sum(case when form = 4 then 1 else 0 end), sum(case when form = 3 then 1 else 0 end),
    sum(case when form = 2 then 1 else 0 end)
from every group by account_id, application_id, kind, rule;

insert into verdict_total (scope, name, subject_kind, of_subjects, passed, failed, unknown, folded)
select 'rule', rule, subject_kind, case when rule = '' then 1 else 0 end, sum(passed), sum(failed), sum(unknown),
    sum(folded)
from verdict_count group by rule, subject_kind, case when rule = '' then 1 else 0 end;

insert into verdict_total (scope, name, subject_kind, of_subjects, passed, failed, unknown, folded)
select 'account', account_id, subject_kind, case when rule = '' then 1 else 0 end, sum(passed), sum(failed), sum(unknown),
    sum(folded)
from verdict_count group by account_id, subject_kind, case when rule = '' then 1 else 0 end;

insert into verdict_total (scope, name, subject_kind, of_subjects, passed, failed, unknown, folded)
select 'application', application_id, subject_kind, case when rule = '' then 1 else 0 end, sum(passed), sum(failed), sum(unknown),
    sum(folded)
from verdict_count group by application_id, subject_kind, case when rule = '' then 1 else 0 end;

-- Questions whose last answer was a failure, by source and host.
create index task_failing on task (kind, host) where attempts > 0 and reason <> '';
