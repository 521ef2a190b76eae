-- Violations with their life, and exemptions.
-- types: limit int

-- name: put_violation
insert into violation (id, rule, kind, subject, application_id, account_id, team, severity, state, first_seen, since,
    last_seen, unconfirmed_since, reason, reopened, acknowledged_at, acknowledged_by, comment, exemption, exempt_until,
    detail, ledger_index)
values (:id, :rule, :kind, :subject, :application_id, :account_id, :team, :severity, :state, :first_seen, :since,
    :last_seen, :unconfirmed_since, :reason, :reopened, :acknowledged_at, :acknowledged_by, :comment, :exemption,
    :exempt_until, :detail, :ledger_index)
on conflict (id) do update set application_id = excluded.application_id, account_id = excluded.account_id,
    team = excluded.team, severity = excluded.severity, state = excluded.state, first_seen = excluded.first_seen,
    since = excluded.since, last_seen = excluded.last_seen, unconfirmed_since = excluded.unconfirmed_since,
    reason = excluded.reason, reopened = excluded.reopened, acknowledged_at = excluded.acknowledged_at,
    acknowledged_by = excluded.acknowledged_by, comment = excluded.comment, exemption = excluded.exemption,
    exempt_until = excluded.exempt_until, detail = excluded.detail, ledger_index = excluded.ledger_index;

-- name: add_violation_step
insert into violation_step (violation, ledger_index, step, at, done_by, comment, exemption, state_after)
values (:violation, :ledger_index, :step, :at, :done_by, :comment, :exemption, :state_after);

-- name: add_exemption
insert into exemption (id, rule, application_id, version, account_id, ami, team, severity_min, granted_at, granted_by,
    reason, until, ended_at, ended_by, ledger_index)
values (:id, :rule, :application_id, :version, :account_id, :ami, :team, :severity_min, :granted_at, :granted_by,
    :reason, :until, '', '', :ledger_index);

-- name: end_exemption
update exemption set ended_at = :ended_at, ended_by = :ended_by where id = :id;

-- name: violations_named
select id, rule, kind, subject, application_id, account_id, team, severity, state, first_seen, since, last_seen,
    unconfirmed_since, reason, reopened, acknowledged_at, acknowledged_by, comment, exemption, exempt_until, detail,
    ledger_index
from violation where {id in texts ids} order by id{binary};

-- name: violations_open
-- types: after str
select id, rule, kind, subject, application_id, account_id, team, severity, state, first_seen, since, last_seen,
    unconfirmed_since, reason, reopened, acknowledged_at, acknowledged_by, comment, exemption, exempt_until, detail,
    ledger_index
from violation where state = 'open' and (cast(:every_rule as bigint) = 1 or {rule in texts rules}) and id{binary} > :after
order by id{binary} limit :limit;

-- name: violations_exempted_by
select id, rule, kind, subject, application_id, account_id, team, severity, state, first_seen, since, last_seen,
    unconfirmed_since, reason, reopened, acknowledged_at, acknowledged_by, comment, exemption, exempt_until, detail,
    ledger_index
from violation where exemption = :exemption order by id{binary} limit :limit;

-- name: steps_of_violation
select ledger_index, step, at, done_by, comment, exemption from violation_step
where violation = :violation order by ledger_index desc limit :limit;

-- name: exemptions_live
-- types: now str
select id, rule, application_id, version, account_id, ami, team, severity_min, granted_at, granted_by, reason, until,
    ended_at, ended_by, ledger_index
from exemption where ended_at = '' and until > :now order by id{binary} limit :limit;

-- name: exemptions_named
select id, rule, application_id, version, account_id, ami, team, severity_min, granted_at, granted_by, reason, until,
    ended_at, ended_by, ledger_index
from exemption where {id in texts ids};

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

-- name: violations_listed
-- types: now str, status str, sort_key str, after_key str, after_id str, first int, unconfirmed int?, severity int?
select id, rule, kind, subject, application_id, account_id, team, severity, state, first_seen, since, last_seen,
    unconfirmed_since, reason, reopened, acknowledged_at, acknowledged_by, comment, exemption, exempt_until, detail,
    ledger_index, status, sort_key
from (
    select id, rule, kind, subject, application_id, account_id, team, severity, state, first_seen, since, last_seen,
    unconfirmed_since, reason, reopened, acknowledged_at, acknowledged_by, comment, exemption, exempt_until, detail,
    ledger_index, case when state = 'fixed' then 'fixed'
        when exemption <> '' and exempt_until > :now then 'exempted' when exemption <> '' then 'reopened'
        when acknowledged_at <> '' then 'acknowledged' when reopened > 0 then 'reopened' else 'open' end as status, case cast(:sort as text) when 'severity' then cast(severity as text) when 'since' then since
        when 'first_seen' then first_seen when 'last_seen' then last_seen when 'rule' then rule when 'team' then team
        when 'application' then application_id else id end as sort_key
    from violation
) as found
where (cast(:any_rule as bigint) = 1 or {rule in texts rules})
        and (cast(:severity as bigint) is null or severity = :severity)
        and (cast(:any_team as bigint) = 1 or {team in texts teams})
        and (cast(:any_id as bigint) = 1 or {id in texts ids})
        and (cast(:kind as text) is null or kind = :kind)
        and (cast(:subject as text) is null or subject = :subject)
        and (cast(:application as text) is null or application_id = :application)
        and (cast(:account as text) is null or account_id = :account)
        and (cast(:exemption as text) is null or exemption = :exemption)
        and (cast(:unconfirmed as bigint) is null or (:unconfirmed = 1 and unconfirmed_since <> '')
            or (:unconfirmed = 0 and unconfirmed_since = '' and state = 'open'))
        and (cast(:since as text) is null or since >= :since)
        and (cast(:until as text) is null or since < :until)
        and {status in texts states}
    and (cast(:first as bigint) = 1 or (sort_key{binary}, id{binary}) > (:after_key, :after_id))
order by sort_key{binary}, id{binary} limit :limit;

-- name: violations_listed_backwards
-- types: now str, status str, sort_key str, after_key str, after_id str, first int, unconfirmed int?, severity int?
select id, rule, kind, subject, application_id, account_id, team, severity, state, first_seen, since, last_seen,
    unconfirmed_since, reason, reopened, acknowledged_at, acknowledged_by, comment, exemption, exempt_until, detail,
    ledger_index, status, sort_key
from (
    select id, rule, kind, subject, application_id, account_id, team, severity, state, first_seen, since, last_seen,
    unconfirmed_since, reason, reopened, acknowledged_at, acknowledged_by, comment, exemption, exempt_until, detail,
    ledger_index, case when state = 'fixed' then 'fixed'
        when exemption <> '' and exempt_until > :now then 'exempted' when exemption <> '' then 'reopened'
        when acknowledged_at <> '' then 'acknowledged' when reopened > 0 then 'reopened' else 'open' end as status, case cast(:sort as text) when 'severity' then cast(severity as text) when 'since' then since
        when 'first_seen' then first_seen when 'last_seen' then last_seen when 'rule' then rule when 'team' then team
        when 'application' then application_id else id end as sort_key
    from violation
) as found
where (cast(:any_rule as bigint) = 1 or {rule in texts rules})
        and (cast(:severity as bigint) is null or severity = :severity)
        and (cast(:any_team as bigint) = 1 or {team in texts teams})
        and (cast(:any_id as bigint) = 1 or {id in texts ids})
        and (cast(:kind as text) is null or kind = :kind)
        and (cast(:subject as text) is null or subject = :subject)
        and (cast(:application as text) is null or application_id = :application)
        and (cast(:account as text) is null or account_id = :account)
        and (cast(:exemption as text) is null or exemption = :exemption)
        and (cast(:unconfirmed as bigint) is null or (:unconfirmed = 1 and unconfirmed_since <> '')
            or (:unconfirmed = 0 and unconfirmed_since = '' and state = 'open'))
        and (cast(:since as text) is null or since >= :since)
        and (cast(:until as text) is null or since < :until)
        and {status in texts states}
    and (cast(:first as bigint) = 1 or (sort_key{binary}, id{binary}) < (:after_key, :after_id))
order by sort_key{binary} desc, id{binary} desc limit :limit;

-- name: violation_facets
-- types: now str, status str, n int, unconfirmed int?, severity int?
with every as (
    select rule, severity, team, account_id, application_id, kind, subject, id, exemption, unconfirmed_since, state, since,
        case when state = 'fixed' then 'fixed'
        when exemption <> '' and exempt_until > :now then 'exempted' when exemption <> '' then 'reopened'
        when acknowledged_at <> '' then 'acknowledged' when reopened > 0 then 'reopened' else 'open' end as status from violation
), found as (
    select rule, severity, team, account_id, application_id, kind, status from every
    where (cast(:any_rule as bigint) = 1 or {rule in texts rules})
        and (cast(:severity as bigint) is null or severity = :severity)
        and (cast(:any_team as bigint) = 1 or {team in texts teams})
        and (cast(:any_id as bigint) = 1 or {id in texts ids})
        and (cast(:kind as text) is null or kind = :kind)
        and (cast(:subject as text) is null or subject = :subject)
        and (cast(:application as text) is null or application_id = :application)
        and (cast(:account as text) is null or account_id = :account)
        and (cast(:exemption as text) is null or exemption = :exemption)
        and (cast(:unconfirmed as bigint) is null or (:unconfirmed = 1 and unconfirmed_since <> '')
            or (:unconfirmed = 0 and unconfirmed_since = '' and state = 'open'))
        and (cast(:since as text) is null or since >= :since)
        and (cast(:until as text) is null or since < :until)
        and {status in texts states}
)
select rule, severity, team, account_id, kind, status, count(*) as n from found
group by rule, severity, team, account_id, kind, status;

-- name: violation_applications
-- types: now str, n int, unconfirmed int?, severity int?
with every as (
    select rule, severity, team, account_id, application_id, kind, subject, id, exemption, unconfirmed_since, state, since,
        case when state = 'fixed' then 'fixed'
        when exemption <> '' and exempt_until > :now then 'exempted' when exemption <> '' then 'reopened'
        when acknowledged_at <> '' then 'acknowledged' when reopened > 0 then 'reopened' else 'open' end as status from violation
), found as (
    select rule, severity, team, account_id, application_id, kind, status from every
    where (cast(:any_rule as bigint) = 1 or {rule in texts rules})
        and (cast(:severity as bigint) is null or severity = :severity)
        and (cast(:any_team as bigint) = 1 or {team in texts teams})
        and (cast(:any_id as bigint) = 1 or {id in texts ids})
        and (cast(:kind as text) is null or kind = :kind)
        and (cast(:subject as text) is null or subject = :subject)
        and (cast(:application as text) is null or application_id = :application)
        and (cast(:account as text) is null or account_id = :account)
        and (cast(:exemption as text) is null or exemption = :exemption)
        and (cast(:unconfirmed as bigint) is null or (:unconfirmed = 1 and unconfirmed_since <> '')
            or (:unconfirmed = 0 and unconfirmed_since = '' and state = 'open'))
        and (cast(:since as text) is null or since >= :since)
        and (cast(:until as text) is null or since < :until)
        and {status in texts states}
)
select application_id, count(*) as n from found group by application_id;

-- Instances that break a rule as members of a group; an empty version or application stands for none.

-- name: members_counted
-- types: n int, rules str
select v.rule, f.application_id, f.application_version, i.account_id, v.verdict, count(*) as n
from verdict v join instance i on i.number = v.subject join facets f on f.number = i.facets
where v.subject_kind = 'instance' and v.verdict <> 'pass' and v.verdict <> 'gone' and {v.rule in texts rules}
    and {f.application_id in texts applications} and not exists (
        select 1 from verdict_fold b where b.subject_kind = 'instance' and b.subject = v.subject and b.rule = v.rule)
group by v.rule, f.application_id, f.application_version, i.account_id, v.verdict;

-- name: members_of_group
-- types: after str, version str, application_id str
select i.instance_id, i.account_id, i.region, v.verdict, v.reason, v.since, v.ledger_index
from verdict v join instance i on i.number = v.subject join facets f on f.number = i.facets
where v.rule = :rule and v.subject_kind = 'instance' and v.verdict <> 'pass' and v.verdict <> 'gone'
    and f.application_id = :application_id and (cast(:any_version as bigint) = 1 or f.application_version = :version)
    and (cast(:account as text) is null or i.account_id = :account) and i.instance_id{binary} > :after
    and not exists (
        select 1 from verdict_fold b where b.subject_kind = 'instance' and b.subject = v.subject and b.rule = v.rule)
order by i.instance_id{binary} limit :limit;

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

-- The groups of instances, to filter by an instance or a region.

-- name: groups_of_instances
select distinct v.rule, f.application_id, f.application_version, i.account_id
from verdict v join instance i on i.number = v.subject join facets f on f.number = i.facets
where v.subject_kind = 'instance' and v.verdict <> 'pass' and v.verdict <> 'gone'
    and (cast(:instance as text) is null or i.instance_id = :instance)
    and (cast(:region as text) is null or i.region = :region)
order by v.rule, f.application_id, f.application_version, i.account_id limit :limit;

-- Instances that live, as members of groups whose rule is about the version or application itself.

-- name: living_counted
-- types: n int
select f.application_id, f.application_version, i.account_id, count(*) as n
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

-- name: violations_of_running
-- types: limit int
select distinct v.id, v.rule
from instance i join facets f on f.number = i.facets
join violation v on v.application_id = f.application_id and (
    v.subject = f.application_id or v.subject = f.application_id || '@' || f.application_version)
where i.life in ('running', 'unknown') and f.application_id <> '' and v.kind in ('version', 'application')
    and (cast(:instance as text) is null or i.instance_id = :instance)
    and (cast(:region as text) is null or i.region = :region)
order by v.id limit :limit;
