-- Violations with their life, and exemptions.
-- types: limit int

-- name: put_violation
insert into violation (id, number, rule, kind, subject, application_id, account_id, team, severity, state, first_seen, since,
    last_seen, unconfirmed_since, reason, reopened, acknowledged_at, acknowledged_by, comment, exemption, exempt_until,
    detail, ledger_index)
values (:id, :number, :rule, :kind, :subject, :application_id, :account_id, :team, :severity, :state, :first_seen, :since,
    :last_seen, :unconfirmed_since, :reason, :reopened, :acknowledged_at, :acknowledged_by, :comment, :exemption,
    :exempt_until, :detail, :ledger_index)
on conflict (id) do update set application_id = excluded.application_id, account_id = excluded.account_id,
    team = excluded.team, severity = excluded.severity, state = excluded.state, first_seen = excluded.first_seen,
    since = excluded.since, last_seen = excluded.last_seen, unconfirmed_since = excluded.unconfirmed_since,
    reason = excluded.reason, reopened = excluded.reopened, acknowledged_at = excluded.acknowledged_at,
    acknowledged_by = excluded.acknowledged_by, comment = excluded.comment, exemption = excluded.exemption,
    exempt_until = excluded.exempt_until, detail = excluded.detail, ledger_index = excluded.ledger_index;

-- name: add_violation_past
insert into violation_past (id, number, rule, kind, subject, application_id, account_id, team, severity, state, first_seen, since, last_seen,
    unconfirmed_since, reason, reopened, acknowledged_at, acknowledged_by, comment, exemption, exempt_until, detail,
    ledger_index, until_index)
values (:id, :number, :rule, :kind, :subject, :application_id, :account_id, :team, :severity, :state, :first_seen, :since,
    :last_seen, :unconfirmed_since, :reason, :reopened, :acknowledged_at, :acknowledged_by, :comment, :exemption,
    :exempt_until, :detail, :ledger_index, :until_index);

-- name: add_violation_step
insert into violation_step (violation, ledger_index, step, at, done_by, comment, exemption, state_after)
values (:violation, :ledger_index, :step, :at, :done_by, :comment, :exemption, :state_after);

-- name: add_exemption
insert into exemption (id, number, rule, application_id, version, account_id, ami, team, severity_min, granted_at, granted_by,
    reason, until, ended_at, ended_by, ledger_index)
values (:id, :number, :rule, :application_id, :version, :account_id, :ami, :team, :severity_min, :granted_at, :granted_by,
    :reason, :until, '', '', :ledger_index);

-- name: end_exemption
update exemption set ended_at = :ended_at, ended_by = :ended_by where id = :id;

-- name: last_numbers
-- types: violation int, exemption int
select coalesce((select max(number) from violation), 0) as violation,
    coalesce((select max(number) from exemption), 0) as exemption;

-- name: violations_named
select id, number, rule, kind, subject, application_id, account_id, team, severity, state, first_seen, since, last_seen,
    unconfirmed_since, reason, reopened, acknowledged_at, acknowledged_by, comment, exemption, exempt_until, detail,
    ledger_index
from violation where {id in texts ids} order by id{binary};

-- name: violations_open
-- types: after str
select id, number, rule, kind, subject, application_id, account_id, team, severity, state, first_seen, since, last_seen,
    unconfirmed_since, reason, reopened, acknowledged_at, acknowledged_by, comment, exemption, exempt_until, detail,
    ledger_index
from violation where state = 'open' and (cast(:every_rule as bigint) = 1 or {rule in texts rules}) and id{binary} > :after
order by id{binary} limit :limit;

-- name: shorten_exemption
update exemption set until = :until where id = :id;

-- name: violations_exempted_by
select id, number, rule, kind, subject, application_id, account_id, team, severity, state, first_seen, since, last_seen,
    unconfirmed_since, reason, reopened, acknowledged_at, acknowledged_by, comment, exemption, exempt_until, detail,
    ledger_index
from violation where exemption = :exemption order by id{binary} limit :limit;

-- name: steps_of_violation
-- types: past int
select ledger_index, step, at, done_by, comment, exemption from violation_step
where violation = :violation and ledger_index < :past order by ledger_index desc limit :limit;

-- name: exemptions_live
-- types: now str
select id, number, rule, application_id, version, account_id, ami, team, severity_min, granted_at, granted_by, reason, until,
    ended_at, ended_by, ledger_index
from exemption where ended_at = '' and until > :now order by id{binary} limit :limit;

-- name: exemptions_then
-- types: past int, at str
select id, number, rule, application_id, version, account_id, ami, team, severity_min, granted_at, granted_by, reason, until,
    ended_at, ended_by, ledger_index
from exemption where ledger_index < :past and until > :at and (ended_at = '' or ended_at > :at)
order by id{binary} limit :limit;

-- name: exemptions_named
select id, number, rule, application_id, version, account_id, ami, team, severity_min, granted_at, granted_by, reason, until,
    ended_at, ended_by, ledger_index
from exemption where {id in texts ids};

-- name: exemption_numbered
select id, number, rule, application_id, version, account_id, ami, team, severity_min, granted_at, granted_by, reason, until,
    ended_at, ended_by, ledger_index
from exemption where number = :number;

-- name: rules_of_violations
-- types: any_team int, severity int, first_seen str
select rule, min(severity) as severity, min(first_seen) as first_seen from violation
where (cast(:any_team as bigint) = 1 or {team in texts teams}) group by rule order by rule limit :limit;

-- What verdicts say now, by rule and group: instances by application version, else application, else account.

-- name: observed_of_instances
-- types: n int, since str, until str, reason str, account_id str, accounts int, entry int
select v.rule, f.application_id, f.application_version, v.verdict, count(*) as n, min(v.since) as since,
    max(v.since) as until, min(v.reason) as reason, min(i.account_id) as account_id,
    count(distinct i.account_id) as accounts, max(v.ledger_index) as entry
from verdict v join instance i on i.number = v.subject join facets f on f.number = i.facets
where v.subject_kind = 'instance' and v.verdict <> 'pass' and v.verdict <> 'gone' and not exists (
        select 1 from verdict_fold b where b.subject_kind = 'instance' and b.subject = v.subject and b.rule = v.rule)
    and {v.rule in texts rules}
group by v.rule, f.application_id, f.application_version, case when f.application_id = '' then i.account_id else '' end,
    v.verdict;

-- Running instances that never made a statement, by whether the list that has them was read last.

-- name: never_spoken_by_account
-- types: launched_before str, confirmed int, n int, launched_at str, listed_at int?, failure str?
select v.account_id, case when coalesce(l.failure, '') = '' then 1 else 0 end as confirmed, count(*) as n,
    min(v.launched_at) as launched_at, max(l.listed_at) as listed_at, min(l.failure) as failure
from inventory v left join instance i on i.instance_id = v.instance_id
left join listing l on l.account_id = v.account_id and l.region = v.region
where v.state = 'running' and (i.number is null or i.ledger_index < 0) and v.launched_at <> ''
    and v.launched_at < :launched_before
group by v.account_id, case when coalesce(l.failure, '') = '' then 1 else 0 end;

-- name: observed_of_subjects
select v.rule, s.kind, s.id, s.application_id, v.verdict, v.since, v.reason, v.ledger_index
from verdict v join subject s on s.kind = v.subject_kind and s.number = v.subject
where v.subject_kind <> 'instance' and v.verdict <> 'pass' and v.verdict <> 'gone' and not exists (
        select 1 from verdict_fold b where b.subject_kind = v.subject_kind and b.subject = v.subject and b.rule = v.rule)
    and {v.rule in texts rules};

-- name: rules_violated
select distinct rule from verdict where verdict <> 'pass' union select distinct rule from violation where state = 'open';

-- name: rules_moved_since
-- types: after int
select distinct rule from verdict where ledger_index > :after;

-- Whether findings were recorded after an entry, and of which accounts and scanners: the first is by the key alone.

-- name: findings_since
-- types: after int, entry int
select e.ledger_index as entry from entry e where e.ledger_index > :after and e.kind = 'findings'
order by e.ledger_index limit 1;

-- name: finding_places_since
-- types: after int
select distinct r.account_id, r.product from finding_report r where r.ledger_index > :after
order by r.account_id, r.product;

-- name: newest_verdict
-- types: entry int
select coalesce(max(ledger_index), -1) as entry from verdict;

-- Who caused a version or an application, by the tokens that pushed or recorded it.

-- name: tokens_of_versions
-- types: id str, name str
select d.application_id || '@' || d.version as id, m.pushed_by as name
from version_digest d join image_manifest m on m.digest = d.digest
where {d.application_id in texts applications}
union
select r.application_id || '@' || r.version as id, r.recorded_by as name from version_revision r
where {r.application_id in texts applications}
union
select a.application_id as id, a.recorded_by as name from application_revision a
where {a.application_id in texts applications} and a.revision = (
    select max(b.revision) from application_revision b where b.application_id = a.application_id)
order by 1, 2;

-- What lists are filtered, sorted and counted by: of each violation that moved since an entry, and of all as of an entry.

-- name: violations_moved
-- types: after int
select id, number, rule, kind, subject, application_id, account_id, team, severity, state, first_seen, since, last_seen,
    unconfirmed_since, reopened, acknowledged_at, exemption, exempt_until, ledger_index
from violation where ledger_index > :after order by ledger_index limit :limit;

-- name: violations_then
-- types: past int, after str
select id, number, rule, kind, subject, application_id, account_id, team, severity, state, first_seen, since, last_seen,
    unconfirmed_since, reopened, acknowledged_at, exemption, exempt_until, ledger_index
from (
    select id, number, rule, kind, subject, application_id, account_id, team, severity, state, first_seen, since, last_seen,
    unconfirmed_since, reopened, acknowledged_at, exemption, exempt_until, ledger_index
    from violation where ledger_index < :past
    union all
    select id, number, rule, kind, subject, application_id, account_id, team, severity, state, first_seen, since, last_seen,
    unconfirmed_since, reopened, acknowledged_at, exemption, exempt_until, ledger_index
    from violation_past where ledger_index < :past and until_index >= :past
) as found where id{binary} > :after order by id{binary} limit :limit;

-- name: violations_named_then
-- types: past int
select id, number, rule, kind, subject, application_id, account_id, team, severity, state, first_seen, since, last_seen,
    unconfirmed_since, reason, reopened, acknowledged_at, acknowledged_by, comment, exemption, exempt_until, detail,
    ledger_index
from violation where {id in texts ids} and ledger_index < :past
union all
select id, number, rule, kind, subject, application_id, account_id, team, severity, state, first_seen, since, last_seen,
    unconfirmed_since, reason, reopened, acknowledged_at, acknowledged_by, comment, exemption, exempt_until, detail,
    ledger_index
from violation_past where {id in texts ids} and ledger_index < :past and until_index >= :past
order by 1;

-- Instances that break a rule as members of a group; an empty version or application stands for none. `cross join` has SQLite
-- begin with the groups' own instances: it would read all verdicts by the rules.

-- name: members_counted
-- types: n int, rules str, places str, region str, instance_id str, image_id str
select v.rule, f.application_id, f.application_version, i.account_id, v.verdict, count(*) as n, min(i.region) as region,
    min(i.instance_id) as instance_id, min(i.image_id) as image_id
from (
    select number, application_id, application_version,
        case when application_id = '' then account_id else application_id || '@' || application_version end as place
    from facets
) as f cross join instance i cross join verdict v
where {f.application_id in texts applications} and {f.place in texts places} and i.facets = f.number
    and v.subject_kind = 'instance' and v.subject = i.number and v.verdict <> 'pass' and v.verdict <> 'gone'
    and {v.rule in texts rules} and not exists (
        select 1 from verdict_fold b where b.subject_kind = 'instance' and b.subject = v.subject and b.rule = v.rule)
group by v.rule, f.application_id, f.application_version, i.account_id, v.verdict;

-- name: members_of_group
-- types: version str, application_id str
select i.instance_id, i.account_id, i.region, v.verdict, v.reason, v.since, v.ledger_index
from verdict v join instance i on i.number = v.subject join facets f on f.number = i.facets
where v.rule = :rule and v.subject_kind = 'instance' and v.verdict <> 'pass' and v.verdict <> 'gone'
    and f.application_id = :application_id and (cast(:any_version as bigint) = 1 or f.application_version = :version)
    and (cast(:account as text) is null or i.account_id = :account)
    and not exists (
        select 1 from verdict_fold b where b.subject_kind = 'instance' and b.subject = v.subject and b.rule = v.rule)
order by case when v.verdict = 'fail' then 0 else 1 end, i.instance_id{binary} limit :limit;

-- What follows from a broken link of the group's instances, and is therefore no violation of its own.

-- name: folded_of_group
-- types: n int, version str, application_id str
select v.rule, count(*) as n
from verdict_fold b join verdict v on v.subject_kind = b.subject_kind and v.subject = b.subject and v.rule = b.rule
join instance i on i.number = b.subject join facets f on f.number = i.facets
where b.subject_kind = 'instance' and b.link = :link and f.application_id = :application_id
    and (cast(:any_version as bigint) = 1 or f.application_version = :version)
    and (cast(:account as text) is null or i.account_id = :account)
group by v.rule order by v.rule limit :limit;

-- The groups of an instance, and those of a region, to filter by them.

-- name: groups_of_instance
-- types: instance str
select distinct v.rule, f.application_id, f.application_version, i.account_id
from instance i cross join facets f cross join verdict v
where i.instance_id = :instance and (cast(:region as text) is null or i.region = :region) and f.number = i.facets
    and v.subject_kind = 'instance' and v.subject = i.number and v.verdict <> 'pass' and v.verdict <> 'gone'
order by v.rule, f.application_id, f.application_version, i.account_id limit :limit;

-- name: groups_of_region
-- types: region str
select distinct v.rule, f.application_id, f.application_version, i.account_id
from verdict v join instance i on i.number = v.subject join facets f on f.number = i.facets
where v.subject_kind = 'instance' and v.verdict <> 'pass' and v.verdict <> 'gone' and i.region = :region
order by v.rule, f.application_id, f.application_version, i.account_id limit :limit;

-- Instances that live, as members of groups whose rule is about the version or application itself.

-- name: living_counted
-- types: n int, region str, instance_id str, image_id str
select f.application_id, f.application_version, i.account_id, count(*) as n, min(i.region) as region,
    min(i.instance_id) as instance_id, min(i.image_id) as image_id
from facets f join instance i on i.facets = f.number
where i.life in ('running', 'unknown') and f.application_id <> '' and {f.application_id in texts applications}
group by f.application_id, f.application_version, i.account_id
order by f.application_id{binary}, f.application_version{binary}, i.account_id{binary};

-- name: living_of_group
-- types: version str
select i.instance_id, i.account_id, i.region
from facets f join instance i on i.facets = f.number
where i.life in ('running', 'unknown') and f.application_id = :application_id
    and (cast(:any_version as bigint) = 1 or f.application_version = :version)
order by i.instance_id{binary} limit :limit;

-- Violations about what instances run, by the version or application itself.

-- name: violations_of_one_running
-- types: instance str
select distinct v.id, v.rule
from instance i cross join facets f cross join violation v
where i.instance_id = :instance and (cast(:region as text) is null or i.region = :region) and f.number = i.facets
    and i.life in ('running', 'unknown') and f.application_id <> '' and v.kind in ('version', 'application')
    and v.application_id = f.application_id
    and (v.subject = f.application_id or v.subject = f.application_id || '@' || f.application_version)
order by v.id limit :limit;

-- name: violations_of_running
-- types: region str
-- types: limit int
select distinct v.id, v.rule
from instance i join facets f on f.number = i.facets
join violation v on v.application_id = f.application_id and (
    v.subject = f.application_id or v.subject = f.application_id || '@' || f.application_version)
where i.life in ('running', 'unknown') and f.application_id <> '' and v.kind in ('version', 'application')
    and i.region = :region
order by v.id limit :limit;
