-- Summaries: counts that are kept with the verdicts, and their daily snapshots. Rule '' counts the subjects themselves.

-- name: counted_instances
-- types: application_id str, counted str?
select i.instance_id, coalesce(f.application_id, '') as application_id, c.application_id as counted
from instance i left join facets f on f.number = i.facets left join counted_instance c on c.instance = i.number
where {i.instance_id in texts instance_ids};

-- name: count_instance
insert into counted_instance (instance, application_id) values (:instance, :application_id)
on conflict (instance) do update set application_id = excluded.application_id;

-- name: add_to_verdict_count
insert into verdict_count (account_id, application_id, subject_kind, rule, passed, failed, unknown, folded)
values (:account_id, :application_id, :subject_kind, :rule, :passed, :failed, :unknown, :folded)
on conflict (account_id, application_id, subject_kind, rule) do update set passed = verdict_count.passed + excluded.passed,
    failed = verdict_count.failed + excluded.failed, unknown = verdict_count.unknown + excluded.unknown,
    folded = verdict_count.folded + excluded.folded;

-- name: add_to_verdict_total
insert into verdict_total (scope, name, subject_kind, of_subjects, passed, failed, unknown, folded)
values (:scope, :name, :subject_kind, :of_subjects, :passed, :failed, :unknown, :folded)
on conflict (scope, name, subject_kind, of_subjects) do update set passed = verdict_total.passed + excluded.passed,
    failed = verdict_total.failed + excluded.failed, unknown = verdict_total.unknown + excluded.unknown,
    folded = verdict_total.folded + excluded.folded;

-- name: totals
select name, subject_kind, of_subjects, passed, failed, unknown, folded from verdict_total where scope = :scope
order by name, subject_kind;

-- name: counts_of_account
select account_id, application_id, subject_kind, rule, passed, failed, unknown, folded from verdict_count
where account_id = :account_id order by application_id, subject_kind, rule;

-- name: counts_of_applications
select account_id, application_id, subject_kind, rule, passed, failed, unknown, folded from verdict_count
where {application_id in texts applications} order by account_id, application_id, subject_kind, rule;

-- name: counts_of_rules_by_account
-- types: passed int, failed int, unknown int, folded int
select account_id, subject_kind, cast(sum(passed) as bigint) as passed, cast(sum(failed) as bigint) as failed,
    cast(sum(unknown) as bigint) as unknown, cast(sum(folded) as bigint) as folded
from verdict_count where {rule in texts rules} group by account_id, subject_kind;

-- Sums by the team that an application's revision names; of_application is 0 for subjects of no application.

-- name: totals_by_team
-- types: past int, team_id str, of_application int, passed int, failed int, unknown int, folded int
select coalesce(s.team_id, '') as team_id, case when t.name = '' then 0 else 1 end as of_application, t.subject_kind,
    t.of_subjects, cast(sum(t.passed) as bigint) as passed, cast(sum(t.failed) as bigint) as failed,
    cast(sum(t.unknown) as bigint) as unknown, cast(sum(t.folded) as bigint) as folded
from verdict_total t left join application_span s on s.application_id = t.name
    and s.ledger_index < :past and s.until_index >= :past
where t.scope = 'application'
group by coalesce(s.team_id, ''), case when t.name = '' then 0 else 1 end, t.subject_kind, t.of_subjects;

-- name: counts_of_rules_by_team
-- types: past int, team_id str, of_application int, of_subjects int, passed int, failed int, unknown int, folded int
select coalesce(s.team_id, '') as team_id, case when c.application_id = '' then 0 else 1 end as of_application,
    c.subject_kind, 0 as of_subjects, cast(sum(c.passed) as bigint) as passed, cast(sum(c.failed) as bigint) as failed,
    cast(sum(c.unknown) as bigint) as unknown, cast(sum(c.folded) as bigint) as folded
from verdict_count c left join application_span s on s.application_id = c.application_id
    and s.ledger_index < :past and s.until_index >= :past
where {c.rule in texts rules}
group by coalesce(s.team_id, ''), case when c.application_id = '' then 0 else 1 end, c.subject_kind;

-- Applications that have verdicts, and that no team owns; and the accounts that may own what is of them, or of none.

-- name: unowned_applications
-- types: past int, application_id str
select t.name as application_id from verdict_total t left join application_span s on s.application_id = t.name
    and s.ledger_index < :past and s.until_index >= :past
where t.scope = 'application' and t.name <> '' and coalesce(s.team_id, '') = '' group by t.name order by t.name;

-- name: accounts_of_applications_counted
select distinct account_id, application_id from verdict_count
where {application_id in texts applications} and subject_kind = 'instance' and rule = ''
    and passed + failed + unknown + folded > 0
union
select name as account_id, '' as application_id from verdict_total where scope = 'account' and name <> '*'
union
select account_id, '' as application_id from listing
order by account_id, application_id;

-- name: counts_of_places
select account_id, application_id, subject_kind, rule, passed, failed, unknown, folded from verdict_count
where {application_id in texts applications} and {account_id in texts accounts}
order by account_id, application_id, subject_kind, rule;

-- name: sums_of_applications
-- types: of_subjects int, passed int, failed int, unknown int, folded int
select account_id, application_id, subject_kind, case when rule = '' then 1 else 0 end as of_subjects,
    cast(sum(passed) as bigint) as passed, cast(sum(failed) as bigint) as failed,
    cast(sum(unknown) as bigint) as unknown, cast(sum(folded) as bigint) as folded
from verdict_count
where {application_id in texts applications} and (cast(:any_rule as bigint) = 1 or {rule in texts rules})
group by account_id, application_id, subject_kind, case when rule = '' then 1 else 0 end
order by account_id, application_id, subject_kind;

-- name: teams_of_applications
-- types: past int
select s.application_id, s.team_id from application_span s
where {s.application_id in texts applications} and s.ledger_index < :past and s.until_index >= :past
order by s.application_id;

-- name: every_count
select account_id, application_id, subject_kind, rule, passed, failed, unknown, folded from verdict_count
order by account_id, application_id, subject_kind, rule;

-- name: every_newest_count
select c.account_id, c.application_id, c.subject_kind, c.rule, c.passed, c.failed, c.unknown, c.folded
from summary_count c where c.day = (
    select max(d.day) from summary_count d where d.account_id = c.account_id and d.application_id = c.application_id
        and d.subject_kind = c.subject_kind and d.rule = c.rule)
order by c.account_id, c.application_id, c.subject_kind, c.rule;

-- name: add_summary_day
insert into summary_day (day, at, ledger_index) values (:day, :at, :ledger_index)
on conflict (day) do nothing;

-- name: add_summary_count
insert into summary_count (account_id, application_id, subject_kind, rule, day, ledger_index, passed, failed, unknown, folded)
values (:account_id, :application_id, :subject_kind, :rule, :day, :ledger_index, :passed, :failed, :unknown, :folded)
on conflict (account_id, application_id, subject_kind, rule, day) do nothing;

-- The sums of a day, once all of its counts are there: each sum of the day before, and what its counts moved.

-- name: add_summary_totals
-- types: day str
insert into summary_total (scope, name, subject_kind, of_subjects, day, until_day, passed, failed, unknown, folded)
with moved as (
    select c.account_id, c.application_id, c.subject_kind, c.rule, c.passed - coalesce(p.passed, 0) as passed,
        c.failed - coalesce(p.failed, 0) as failed, c.unknown - coalesce(p.unknown, 0) as unknown,
        c.folded - coalesce(p.folded, 0) as folded
    from summary_count c left join summary_count p on p.account_id = c.account_id
        and p.application_id = c.application_id and p.subject_kind = c.subject_kind and p.rule = c.rule and p.day = (
            select max(q.day) from summary_count q where q.account_id = c.account_id
                and q.application_id = c.application_id and q.subject_kind = c.subject_kind and q.rule = c.rule
                and q.day < c.day)
    where c.day = :day
), summed as (
    select 'rule' as scope, rule as name, subject_kind, case when rule = '' then 1 else 0 end as of_subjects,
        sum(passed) as passed, sum(failed) as failed, sum(unknown) as unknown, sum(folded) as folded
    from moved group by rule, subject_kind, case when rule = '' then 1 else 0 end
    union all
    select 'account' as scope, account_id as name, subject_kind, case when rule = '' then 1 else 0 end as of_subjects,
        sum(passed) as passed, sum(failed) as failed, sum(unknown) as unknown, sum(folded) as folded
    from moved group by account_id, subject_kind, case when rule = '' then 1 else 0 end
    union all
    select 'application' as scope, application_id as name, subject_kind, case when rule = '' then 1 else 0 end as of_subjects,
        sum(passed) as passed, sum(failed) as failed, sum(unknown) as unknown, sum(folded) as folded
    from moved group by application_id, subject_kind, case when rule = '' then 1 else 0 end
)
select s.scope, s.name, s.subject_kind, s.of_subjects, :day, '9999-12-31', coalesce(t.passed, 0) + s.passed,
    coalesce(t.failed, 0) + s.failed, coalesce(t.unknown, 0) + s.unknown, coalesce(t.folded, 0) + s.folded
from summed s left join summary_total t on t.scope = s.scope and t.name = s.name and t.subject_kind = s.subject_kind
    and t.of_subjects = s.of_subjects and t.until_day = '9999-12-31';

-- name: end_summary_totals
-- types: day str
update summary_total set until_day = :day where until_day = '9999-12-31' and day < :day and exists (
    select 1 from summary_total n where n.scope = summary_total.scope and n.name = summary_total.name
        and n.subject_kind = summary_total.subject_kind and n.of_subjects = summary_total.of_subjects and n.day = :day);

-- name: totals_at
-- types: day str
select name, subject_kind, of_subjects, passed, failed, unknown, folded from summary_total
where scope = :scope and day <= :day and until_day > :day order by name, subject_kind;

-- name: totals_by_team_at
-- types: past int, day str, team_id str, of_application int, passed int, failed int, unknown int, folded int
select coalesce(s.team_id, '') as team_id, case when t.name = '' then 0 else 1 end as of_application, t.subject_kind,
    t.of_subjects, cast(sum(t.passed) as bigint) as passed, cast(sum(t.failed) as bigint) as failed,
    cast(sum(t.unknown) as bigint) as unknown, cast(sum(t.folded) as bigint) as folded
from summary_total t left join application_span s on s.application_id = t.name
    and s.ledger_index < :past and s.until_index >= :past
where t.scope = 'application' and t.day <= :day and t.until_day > :day
group by coalesce(s.team_id, ''), case when t.name = '' then 0 else 1 end, t.subject_kind, t.of_subjects;

-- name: totals_of_days
-- types: until str
select name, subject_kind, day, passed, failed, unknown, folded from summary_total
where scope = :scope and of_subjects = 0 and day <= :until and (cast(:any_name as bigint) = 1 or {name in texts names})
    and (cast(:kind as text) is null or subject_kind = :kind)
order by name, subject_kind, day;

-- name: newest_summary_day
select day, at, ledger_index from summary_day where day <= :day order by day desc limit 1;

-- name: newest_summary_by
select day, at, ledger_index from summary_day where at <= :at order by at desc limit 1;

-- name: summary_days
-- types: since str, until str, limit int
select day, at, ledger_index from summary_day where day >= :since and day <= :until order by day limit :limit;

-- name: counts_of_days
-- types: until str
select account_id, application_id, subject_kind, rule, day, passed, failed, unknown, folded from summary_count
where day <= :until
    and account_id{binary} >= coalesce(cast(:account as text), '') and account_id{binary} <= coalesce(cast(:account as text), '~')
    and (cast(:account as text) is null or account_id = :account)
    and (cast(:kind as text) is null or subject_kind = :kind)
    and (cast(:any_rule as bigint) = 1 or {rule in texts rules})
order by account_id, application_id, subject_kind, rule, day;

-- name: application_counts_of_days
-- types: until str
select account_id, application_id, subject_kind, rule, day, passed, failed, unknown, folded from summary_count
where {application_id in texts applications} and day <= :until
    and (cast(:account as text) is null or account_id = :account)
    and (cast(:kind as text) is null or subject_kind = :kind)
    and (cast(:any_rule as bigint) = 1 or {rule in texts rules})
order by account_id, application_id, subject_kind, rule, day;

-- Instances that run, and never made a statement: no rule judges them.

-- name: unheard_by_account
-- types: n int, launched_before str
select v.account_id, count(*) as n from inventory v left join instance i on i.instance_id = v.instance_id
where v.state = 'running' and (i.number is null or i.ledger_index < 0) and v.launched_at < :launched_before
group by v.account_id order by v.account_id;

-- name: unheard_of_account
-- types: n int, launched_before str
select v.account_id, count(*) as n from inventory v left join instance i on i.instance_id = v.instance_id
where v.account_id = :account_id and v.state = 'running' and (i.number is null or i.ledger_index < 0)
    and v.launched_at < :launched_before
group by v.account_id;

-- How far sources were read, beside listings and trails.

-- name: user_data_unread
-- types: n int, reason str
select account_id, region, count(*) as n, min(user_data_unread) as reason from inventory
where user_data_unread <> '' and state not in ('terminated', 'gone') group by account_id, region
order by account_id, region;

-- name: counted_accounts
select distinct account_id from verdict_count
where {application_id in texts applications} and rule = '' order by account_id;

-- name: places_of_instance
select account_id, region from instance where instance_id = :instance_id
union
select account_id, region from inventory where instance_id = :instance_id
order by account_id, region;

-- name: failing_questions
-- types: n int, reason str
select kind, host, count(*) as n, min(reason) as reason from task where attempts > 0 and reason <> ''
group by kind, host order by kind, host;

-- name: team_of_application
-- types: past int
select s.team_id from application_span s
where s.application_id = :application_id and s.ledger_index < :past and s.until_index >= :past;

-- Reports, as files with their digests.

-- name: add_report_file
insert into report_file (ledger_index, name, digest, team_id, account_id, since, until, made_at, made_by)
values (:ledger_index, :name, :digest, :team_id, :account_id, :since, :until, :made_at, :made_by);

-- name: reports_recorded
-- types: limit int, before int
select ledger_index, name, digest, team_id, account_id, since, until, made_at, made_by from report_file
where ledger_index in (
    select distinct r.ledger_index from report_file r where r.ledger_index < :before
        and (cast(:any_team as bigint) = 1 or {r.team_id in texts teams})
        and (cast(:account as text) is null or r.account_id = :account)
    order by r.ledger_index desc limit :limit)
order by ledger_index desc, name;

-- name: reports_with_digest
-- types: limit int
select ledger_index, name, digest, team_id, account_id, since, until, made_at, made_by from report_file
where ledger_index in (select r.ledger_index from report_file r where r.digest = :digest)
order by ledger_index, name limit :limit;

-- The steps of violations that a team owns, or that are in an account: where a version runs in several, in each of them.

-- name: steps_of_scope
-- types: limit int, exempt_until str, until str
select v.id, v.rule, v.severity, v.kind, v.subject, v.application_id, v.account_id, v.team, s.ledger_index, s.step, s.at,
    s.done_by, s.comment, s.exemption, coalesce(e.until, '') as exempt_until
from violation v join violation_step s on s.violation = v.id left join exemption e on e.id = s.exemption
where s.at < :until
    and (cast(:any_team as bigint) = 1 or {v.team in texts teams})
    and (cast(:account as text) is null or v.account_id = :account or (v.account_id = '' and exists (
        select 1 from verdict_count c
        where c.account_id = :account and c.application_id = v.application_id and c.rule = '')))
order by v.id{binary}, s.ledger_index limit :limit;
