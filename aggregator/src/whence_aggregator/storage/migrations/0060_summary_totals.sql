-- The counts of snapshots, summed up as verdict_total sums up those of now: a sum holds from a day until the one that states the
-- next. Summaries of an earlier time, and trends, read no count of each account and application.
create table summary_total (
    scope text not null,
    name text not null,
    subject_kind text not null,
    of_subjects bigint not null,
    day text not null,
    until_day text not null,
    passed bigint not null,
    failed bigint not null,
    unknown bigint not null,
    folded bigint not null,
    primary key (scope, name, subject_kind, of_subjects, day)
){compact};
create index summary_total_until on summary_total (until_day, scope);
create index summary_count_day on summary_count (day);

insert into summary_total (scope, name, subject_kind, of_subjects, day, until_day, passed, failed, unknown, folded)
with moved as (
    select account_id, application_id, subject_kind, rule, day, passed - coalesce(lag(passed) over w, 0) as passed,
        failed - coalesce(lag(failed) over w, 0) as failed, unknown - coalesce(lag(unknown) over w, 0) as unknown,
        folded - coalesce(lag(folded) over w, 0) as folded
    from summary_count window w as (partition by account_id, application_id, subject_kind, rule order by day)
), summed as (
    select 'rule' as scope, rule as name, subject_kind, case when rule = '' then 1 else 0 end as of_subjects, day,
        sum(passed) as passed, sum(failed) as failed, sum(unknown) as unknown, sum(folded) as folded
    from moved group by rule, subject_kind, case when rule = '' then 1 else 0 end, day
    union all
    select 'account' as scope, account_id as name, subject_kind, case when rule = '' then 1 else 0 end as of_subjects, day,
        sum(passed) as passed, sum(failed) as failed, sum(unknown) as unknown, sum(folded) as folded
    from moved group by account_id, subject_kind, case when rule = '' then 1 else 0 end, day
    union all
    select 'application' as scope, application_id as name, subject_kind, case when rule = '' then 1 else 0 end as of_subjects, day,
        sum(passed) as passed, sum(failed) as failed, sum(unknown) as unknown, sum(folded) as folded
    from moved group by application_id, subject_kind, case when rule = '' then 1 else 0 end, day
)
select scope, name, subject_kind, of_subjects, day, coalesce(lead(day) over w, '9999-12-31'), sum(passed) over w,
    sum(failed) over w, sum(unknown) over w, sum(folded) over w
from summed window w as (partition by scope, name, subject_kind, of_subjects order by day);
