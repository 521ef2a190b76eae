-- What fullstop.'s interface serves: violations by number, with what was reported of them; lifecycles; instance logs.
-- types: limit int

-- name: add_fullstop_report
insert into fullstop_report (violation, ledger_index, account_id, event_id, meta_info, username, recorded_by)
values (:violation, :ledger_index, :account_id, :event_id, :meta_info, :username, :recorded_by);

-- name: count_fullstop_reports
-- types: n int
select count(*) as n from fullstop_report where account_id = :account_id;

-- An account narrows only what is in one account: of others it is known where their instances run.

-- name: fullstop_violations
-- types: first int, last int, open int, any_account int, any_application int, any_team int, any_rule int
-- types: exemption_number int?, exemption_reason str?, granted_at str?, granted_by str?
-- types: event_id str?, meta_info str?, username str?, recorded_by str?
select v.id, v.number, v.rule, v.kind, v.subject, v.application_id, v.account_id, v.team, v.severity, v.state, v.first_seen,
    v.since, v.last_seen, v.unconfirmed_since, v.reason, v.reopened, v.acknowledged_at, v.acknowledged_by, v.comment,
    v.exemption, v.exempt_until, v.detail, v.ledger_index, e.number as exemption_number, e.reason as exemption_reason,
    e.granted_at, e.granted_by, r.event_id, r.meta_info, r.username, r.recorded_by
from violation v left join exemption e on e.id = v.exemption left join fullstop_report r on r.violation = v.id
where v.number >= :first and v.number <= :last and (cast(:open as bigint) = 0 or v.state = 'open')
    and (cast(:any_rule as bigint) = 1 or {v.rule in texts rules})
    and (cast(:any_account as bigint) = 1 or v.account_id = '' or {v.account_id in texts accounts})
    and (cast(:any_application as bigint) = 1 or {v.application_id in texts applications})
    and (cast(:any_team as bigint) = 1 or {v.team in texts teams})
order by v.number limit :limit;

-- name: fullstop_violations_named
-- types: any_team int
-- types: exemption_number int?, exemption_reason str?, granted_at str?, granted_by str?
-- types: event_id str?, meta_info str?, username str?, recorded_by str?
select v.id, v.number, v.rule, v.kind, v.subject, v.application_id, v.account_id, v.team, v.severity, v.state, v.first_seen,
    v.since, v.last_seen, v.unconfirmed_since, v.reason, v.reopened, v.acknowledged_at, v.acknowledged_by, v.comment,
    v.exemption, v.exempt_until, v.detail, v.ledger_index, e.number as exemption_number, e.reason as exemption_reason,
    e.granted_at, e.granted_by, r.event_id, r.meta_info, r.username, r.recorded_by
from violation v left join exemption e on e.id = v.exemption left join fullstop_report r on r.violation = v.id
where {v.id in texts ids} and (cast(:any_team as bigint) = 1 or {v.team in texts teams});

-- CloudTrail's events about instances of an application, and the user data that instances sent.

-- name: fullstop_lifecycles
-- types: launched_at str?, image_id str, event_at int?, recorded_at str, name str, region str, instance_id str
-- types: application_version str, version str?
select c.name, c.event_at, '' as recorded_at, c.region, i.instance_id, i.image_id, f.application_version,
    (select max(v.launched_at) from inventory v where v.instance_id = i.instance_id) as launched_at, c.ledger_index
from facets f join instance i on i.facets = f.number
join cloud_event_instance e on e.instance_id = i.instance_id and e.account_id = i.account_id
join cloud_event c on c.ledger_index = e.ledger_index and c.account_id = e.account_id
where f.application_id = :application_id and f.application_version <> ''
    and (cast(:version as text) is null or f.application_version = :version)
    and c.name in ('RunInstances', 'StartInstances', 'StopInstances', 'TerminateInstances')
union all
select g.log_type, null, g.recorded_at, g.region, g.instance_id, '', g.application_version, g.boot_time, g.ledger_index
from instance_log g
where g.application_id = :application_id and (cast(:version as text) is null or g.application_version = :version)
limit :limit;

-- name: add_instance_log
insert into instance_log (instance_id, account_id, log_type, boot_time, digest, region, ledger_index, size, document,
    application_id, application_version, recorded_at)
values (:instance_id, :account_id, :log_type, :boot_time, :digest, :region, :ledger_index, :size, :document,
    :application_id, :application_version, :recorded_at);

-- name: instance_log_known
select ledger_index from instance_log where instance_id = :instance_id and account_id = :account_id
    and log_type = :log_type and boot_time = :boot_time and digest = :digest;

-- name: instance_logs_since
-- types: since str, each int, n int, bytes int
select count(*) as n, cast(coalesce(sum(size + length(document) + :each), 0) as bigint) as bytes from instance_log
where account_id = :account_id and recorded_at >= :since;

-- name: put_instance_log_content
insert into instance_log_content (digest, content, recorded_at) values (:digest, :content, :recorded_at)
on conflict (digest) do nothing;

-- name: drop_instance_log_contents
-- types: before str
delete from instance_log_content where recorded_at < :before;
