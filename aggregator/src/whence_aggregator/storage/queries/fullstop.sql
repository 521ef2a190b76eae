-- What fullstop.'s interface serves: violations by number, reports, resolutions, whitelisting rules, instance logs.
-- types: limit int

-- name: fullstop_numbers
select number, key from fullstop_number where kind = :kind and {key in texts keys};

-- name: last_fullstop_number
-- types: number int
select coalesce(max(number), 0) as number from fullstop_number;

-- name: add_fullstop_number
insert into fullstop_number (number, kind, key) values (:number, :kind, :key);

-- name: add_fullstop_report
insert into fullstop_report (number, ledger_index, account_id, region, event_id, instance_id, violation_type, meta_info,
    username, application_id, application_version, recorded_at, recorded_by)
values (:number, :ledger_index, :account_id, :region, :event_id, :instance_id, :violation_type, :meta_info,
    :username, :application_id, :application_version, :recorded_at, :recorded_by);

-- name: put_fullstop_resolution
insert into fullstop_resolution (number, ledger_index, comment, recorded_at, recorded_by)
values (:number, :ledger_index, :comment, :recorded_at, :recorded_by)
on conflict (number) do update set ledger_index = excluded.ledger_index, comment = excluded.comment,
    recorded_at = excluded.recorded_at, recorded_by = excluded.recorded_by;

-- name: add_fullstop_exemption
insert into fullstop_exemption (number, ledger_index, violation_type, account_id, application_id,
    application_version, reason, recorded_at, recorded_by, ends_at, changed_at, changed_by)
values (:number, :ledger_index, :violation_type, :account_id, :application_id,
    :application_version, :reason, :recorded_at, :recorded_by, :ends_at, :changed_at, :changed_by);

-- name: end_fullstop_exemption
update fullstop_exemption set ends_at = :ends_at, changed_at = :changed_at, changed_by = :changed_by
where number = :number;

-- name: fullstop_exemptions
-- types: now str?, only int?
select number, violation_type, account_id, application_id, application_version, reason, recorded_at, recorded_by,
    ends_at, changed_at, changed_by
from fullstop_exemption
where (cast(:now as text) is null or ends_at > :now) and (cast(:only as bigint) is null or number = :only)
order by number limit :limit;

-- name: fullstop_verdicts
-- types: last int, open int, comment str?, resolved_at str?, resolved_by str?, any_account int, any_application int
select n.number, v.rule, v.rule_version, v.verdict, v.reason, v.since, i.instance_id, i.account_id, i.region, i.image_id,
    f.application_id, f.application_version, r.comment, r.recorded_at as resolved_at, r.recorded_by as resolved_by
from verdict v join instance i on i.number = v.subject join facets f on f.number = i.facets
join fullstop_number n on n.kind = 'violation' and n.key = v.rule || '~instance~' || i.instance_id
left join verdict_fold b on b.subject_kind = 'instance' and b.subject = v.subject and b.rule = v.rule
left join fullstop_resolution r on r.number = n.number
where v.subject_kind = 'instance' and b.link is null and n.number >= :last and {v.rule in texts rules}
    and (cast(:open as bigint) = 0 or v.verdict = 'fail' or v.verdict = 'unknown')
    and (cast(:any_account as bigint) = 1 or {i.account_id in texts accounts})
    and (cast(:any_application as bigint) = 1 or {f.application_id in texts applications})
order by n.number limit :limit;

-- name: fullstop_verdicts_of_kinds
-- types: last int, open int, comment str?, resolved_at str?, resolved_by str?, any_application int
select n.number, v.rule, v.rule_version, v.verdict, v.reason, v.since, s.kind, s.id, r.comment,
    r.recorded_at as resolved_at, r.recorded_by as resolved_by
from subject s join verdict v on v.subject_kind = s.kind and v.subject = s.number
join fullstop_number n on n.kind = 'violation' and n.key = v.rule || '~' || s.kind || '~' || s.id
left join verdict_fold b on b.subject_kind = s.kind and b.subject = v.subject and b.rule = v.rule
left join fullstop_resolution r on r.number = n.number
where b.link is null and n.number >= :last and {v.rule in texts rules}
    and (cast(:open as bigint) = 0 or v.verdict = 'fail' or v.verdict = 'unknown')
    and (cast(:any_application as bigint) = 1 or {s.application_id in texts applications})
order by n.number limit :limit;

-- name: fullstop_reports
-- types: last int, comment str?, resolved_at str?, resolved_by str?, any_account int, any_application int, any_type int
select p.number, n.key, p.account_id, p.region, p.event_id, p.instance_id, p.violation_type, p.meta_info, p.username,
    p.application_id, p.application_version, p.recorded_at, p.recorded_by, r.comment, r.recorded_at as resolved_at,
    r.recorded_by as resolved_by
from fullstop_report p join fullstop_number n on n.number = p.number left join fullstop_resolution r on r.number = p.number
where p.number >= :last and (cast(:any_account as bigint) = 1 or {p.account_id in texts accounts})
    and (cast(:any_application as bigint) = 1 or {p.application_id in texts applications})
    and (cast(:any_type as bigint) = 1 or {p.violation_type in texts types})
order by p.number limit :limit;

-- name: count_fullstop_reports
-- types: n int
select count(*) as n from fullstop_report where account_id = :account_id;

-- name: fullstop_reported_types
-- types: recorded_at str
select violation_type, min(recorded_at) as recorded_at from fullstop_report group by violation_type
order by violation_type limit :limit;

-- Where versions, applications and AMIs run: instances that may live.

-- name: fullstop_members
select i.instance_id, i.account_id, i.region, i.image_id, f.application_id, f.application_version
from facets f join instance i on i.facets = f.number
where {f.application_id in texts applications} and i.ledger_index >= 0
    and i.life not in ('shutting-down', 'terminated')
order by i.account_id, i.instance_id limit :limit;

-- name: fullstop_lifecycles
-- types: launched_at str?
select c.ledger_index, c.name, c.event_at, c.region, i.instance_id, i.image_id, f.application_id, f.application_version,
    (select max(v.launched_at) from inventory v where v.instance_id = i.instance_id) as launched_at
from facets f join instance i on i.facets = f.number
join cloud_event_instance e on e.instance_id = i.instance_id and e.account_id = i.account_id
join cloud_event c on c.ledger_index = e.ledger_index and c.account_id = e.account_id
where f.application_id = :application_id and f.application_version <> ''
    and (cast(:version as text) is null or f.application_version = :version)
    and c.name in ('RunInstances', 'StartInstances', 'StopInstances', 'TerminateInstances')
order by c.event_at, c.ledger_index limit :limit;

-- name: add_instance_log
insert into instance_log (instance_id, account_id, log_type, boot_time, digest, region, ledger_index, size, document,
    recorded_at)
values (:instance_id, :account_id, :log_type, :boot_time, :digest, :region, :ledger_index, :size, :document,
    :recorded_at);

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
