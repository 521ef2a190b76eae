-- Instances are looked up by each group, and verdicts by each instance: without statistics the planner reads all verdicts of the
-- rules, and with them every living instance. `offset 0` keeps it from joining otherwise.

-- name: members_counted
select v.rule, f.application_id, f.application_version, i.account_id, v.verdict, count(*) as n, min(i.region) as region,
    min(i.instance_id) as instance_id, min(i.image_id) as image_id
from (
    select number, application_id, application_version,
        case when application_id = '' then account_id else application_id || '@' || application_version end as place
    from facets
) as f cross join lateral (
    select number, account_id, region, instance_id, image_id from instance where facets = f.number offset 0) as i
cross join lateral (
    select w.rule, w.verdict from verdict w
    where w.subject_kind = 'instance' and w.subject = i.number and w.verdict <> 'pass' and w.verdict <> 'gone'
        and {w.rule in texts rules} and not exists (
            select 1 from verdict_fold b where b.subject_kind = 'instance' and b.subject = w.subject and b.rule = w.rule)
    offset 0) as v
where {f.application_id in texts applications} and {f.place in texts places}
group by v.rule, f.application_id, f.application_version, i.account_id, v.verdict;

-- name: living_counted
select f.application_id, f.application_version, i.account_id, count(*) as n, min(i.region) as region,
    min(i.instance_id) as instance_id, min(i.image_id) as image_id
from facets f cross join lateral (
    select account_id, region, instance_id, image_id from instance
    where facets = f.number and life in ('running', 'unknown') offset 0) as i
where f.application_id <> '' and {f.application_id in texts applications}
group by f.application_id, f.application_version, i.account_id
order by f.application_id{binary}, f.application_version{binary}, i.account_id{binary};
