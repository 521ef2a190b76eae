-- Findings of scanners. `past` bounds the entries that count; the newest row of a finding lasts until 2^62.
-- types: past int, limit int

-- name: findings_now
-- types: seen_at str?, complete_at str?
select f.account_id, f.product, f.uid, f.ledger_index, f.check_id, f.severity, f.result, f.closed, f.suppressed,
    f.vulnerability, f.region, f.instance_id, f.image_digest, f.application_id, f.observed_at, f.first_seen, f.since,
    f.opened, f.body,
    (select max(s.observed_at) from finding_seen s
        where s.account_id = f.account_id and s.product = f.product and s.uid = f.uid) as seen_at,
    (select max(r.observed_at) from finding_report r
        where r.account_id = f.account_id and r.product = f.product and r.image_digest = f.image_digest
            and r.complete = 1
            and r.ledger_index > f.ledger_index) as complete_at
from finding f
where f.account_id = :account_id and f.product = :product and {f.uid in texts uids}
    and f.until_index = 4611686018427387904;

-- name: findings_open
-- types: after str, before str
select f.uid from finding f
where f.account_id = :account_id and f.product = :product and f.image_digest = :image_digest and f.uid > :after
    and f.until_index = 4611686018427387904 and f.closed <> 'absent' and f.observed_at < :before and not exists (
    select 1 from finding_seen s
    where s.account_id = f.account_id and s.product = f.product and s.uid = f.uid and s.observed_at >= :before)
order by f.uid limit :limit;

-- name: findings_counted
-- types: n int
select count(*) as n from finding where account_id = :account_id and until_index = 4611686018427387904;

-- name: complete_report
-- types: observed_at str?
select max(observed_at) as observed_at from finding_report
where account_id = :account_id and product = :product and image_digest = :image_digest and complete = 1;

-- name: end_finding
update finding set until_index = :until_index
where account_id = :account_id and product = :product and uid = :uid and until_index = 4611686018427387904;

-- name: add_finding
insert into finding (account_id, product, uid, ledger_index, until_index, check_id, severity, result, closed, suppressed,
    vulnerability, region, instance_id, image_digest, application_id, observed_at, first_seen, since, opened, body)
values (:account_id, :product, :uid, :ledger_index, :until_index, :check_id, :severity, :result, :closed, :suppressed,
    :vulnerability, :region, :instance_id, :image_digest, :application_id, :observed_at, :first_seen, :since, :opened,
    :body);

-- name: add_finding_seen
insert into finding_seen (account_id, product, uid, ledger_index, observed_at)
values (:account_id, :product, :uid, :ledger_index, :observed_at);

-- name: add_finding_report
insert into finding_report (account_id, product, image_digest, ledger_index, observed_at, complete)
values (:account_id, :product, :image_digest, :ledger_index, :observed_at, :complete);

-- name: findings_at
-- types: after_account str, after_product str, after_uid str, seen_at str?, complete_at str?, reported_at str?
select f.account_id, f.product, f.uid, f.ledger_index, f.check_id, f.severity, f.result, f.closed, f.suppressed,
    f.vulnerability, f.region, f.instance_id, f.image_digest, f.application_id, f.observed_at, f.first_seen, f.since,
    f.opened, f.body,
    (select max(s.observed_at) from finding_seen s
        where s.account_id = f.account_id and s.product = f.product and s.uid = f.uid and s.ledger_index < :past)
        as seen_at,
    (select max(r.observed_at) from finding_report r
        where r.account_id = f.account_id and r.product = f.product and r.image_digest = f.image_digest
            and r.complete = 1
            and r.ledger_index > f.ledger_index and r.ledger_index < :past) as complete_at,
    (select max(r.observed_at) from finding_report r
        where r.account_id = f.account_id and r.product = f.product and r.ledger_index < :past) as reported_at
from finding f
where f.ledger_index < :past and f.until_index >= :past
    and (f.account_id, f.product, f.uid) > (:after_account, :after_product, :after_uid)
    and (cast(:account as text) is null or f.account_id = :account)
    and (cast(:product as text) is null or f.product = :product)
    and (cast(:check_id as text) is null or f.check_id = :check_id)
    and (cast(:region as text) is null or f.region = :region)
    and (cast(:instance as text) is null or f.instance_id = :instance)
    and (cast(:image as text) is null or f.image_digest = :image)
    and (cast(:suppressed as bigint) is null or f.suppressed = :suppressed)
    and (cast(:since as text) is null or f.since >= :since)
    and (cast(:until as text) is null or f.since < :until)
order by f.account_id, f.product, f.uid limit :limit;

-- name: versions_of_images
-- types: account_id str
select d.digest, d.application_id, d.version, d.said_by as account_id from version_digest d
where {d.digest in texts digests} and d.ledger_index < :past
union
select x.image_digest as digest, f.application_id, f.application_version as version, f.account_id
from facets_image x join facets f on f.number = x.facets
where {x.image_digest in texts digests} and f.application_id <> '' and f.application_version <> '' and exists (
    select 1 from instance_facets y join instance i on i.number = y.instance
    where y.facets = f.number and i.first_index >= 0 and i.first_index < :past)
order by 1, 2, 3, 4;

-- name: applications_of_instances
select i.instance_id, i.account_id, f.application_id, f.application_version
from instance i join facets f on f.number = (
    select s.facets from statement s where s.instance = i.number and s.ledger_index < :past
    order by s.enrolment desc, s.sequence desc limit 1)
where {i.instance_id in texts instance_ids};

-- name: accounts_of_applications
select distinct application_id, account_id from facets where {application_id in texts application_ids};

-- name: scanner_reports
-- types: observed_at str, complete_at str?
select account_id, product, max(observed_at) as observed_at,
    max(case when complete = 1 then observed_at end) as complete_at
from finding_report where ledger_index < :past group by account_id, product order by account_id, product;

-- name: count_finding_reports
-- types: n int
select product, count(*) as n from finding_report group by product order by product;

-- name: count_findings_open
-- types: n int
select product, count(*) as n from finding
where until_index = 4611686018427387904 and closed = '' and result = 'fail' group by product order by product;

-- The findings about an image, each with the entries that its state rests on: the row before one that a report did not have,
-- the newest confirmations, and the newest report of its scanner.

-- name: findings_of_image
-- types: after_account str, after_product str, after_uid str, seen_at str?, complete_at str?, reported_at str?, before_index int?, seen_index int?, complete_index int?, report_index int?
select f.account_id, f.product, f.uid, f.ledger_index, f.check_id, f.severity, f.result, f.closed, f.suppressed,
    f.vulnerability, f.region, f.instance_id, f.image_digest, f.application_id, f.observed_at, f.first_seen, f.since,
    f.opened, f.body,
    (select p.ledger_index from finding p where f.closed = 'absent' and p.account_id = f.account_id
        and p.product = f.product and p.uid = f.uid and p.until_index = f.ledger_index) as before_index,
    s.observed_at as seen_at, s.ledger_index as seen_index,
    c.observed_at as complete_at, c.ledger_index as complete_index,
    n.observed_at as reported_at, n.ledger_index as report_index
from finding f
left join finding_seen s on s.account_id = f.account_id and s.product = f.product and s.uid = f.uid
    and s.ledger_index = (select o.ledger_index from finding_seen o
        where o.account_id = f.account_id and o.product = f.product and o.uid = f.uid
        order by o.observed_at desc, o.ledger_index limit 1)
left join finding_report c on c.account_id = f.account_id and c.product = f.product and c.image_digest = f.image_digest
    and c.ledger_index = (select o.ledger_index from finding_report o
        where o.account_id = f.account_id and o.product = f.product and o.image_digest = f.image_digest
            and o.complete = 1 and o.ledger_index > f.ledger_index
        order by o.observed_at desc, o.ledger_index limit 1)
left join finding_report n on n.account_id = f.account_id and n.product = f.product
    and n.ledger_index = (select o.ledger_index from finding_report o
        where o.account_id = f.account_id and o.product = f.product
        order by o.observed_at desc, o.ledger_index limit 1)
where f.until_index = 4611686018427387904 and f.image_digest = :image_digest
    and (f.account_id, f.product, f.uid) > (:after_account, :after_product, :after_uid)
order by f.account_id, f.product, f.uid limit :limit;

-- Entries after which a finding was about the image no more, though earlier entries state that it was.

-- name: findings_moved_from_image
select n.account_id, n.ledger_index from finding p join finding n on n.account_id = p.account_id and n.product = p.product
    and n.uid = p.uid and n.ledger_index = p.until_index
where p.image_digest = :image_digest and n.image_digest <> p.image_digest
order by n.ledger_index desc limit :limit;

-- Findings as they are now, by scanner and account. confirmed: whether the scanner stated them since a time.

-- name: findings_by_scanner
-- types: n int, confirmed int, confirmed_since str
select account_id, product, result, closed, suppressed, confirmed, count(*) as n from (
    select f.account_id, f.product, f.result, f.closed, f.suppressed, case
        when f.observed_at >= :confirmed_since then 1
        when exists (select 1 from finding_seen s where s.account_id = f.account_id and s.product = f.product
            and s.uid = f.uid and s.observed_at >= :confirmed_since) then 1
        when f.closed <> 'absent' and exists (select 1 from finding_report r where r.account_id = f.account_id
            and r.product = f.product and r.image_digest = f.image_digest and r.complete = 1
            and r.ledger_index > f.ledger_index and r.observed_at >= :confirmed_since) then 1
        else 0 end as confirmed
    from finding f where f.until_index = 4611686018427387904) as stated
group by account_id, product, result, closed, suppressed, confirmed
order by account_id, product, result, closed, suppressed, confirmed;

-- Findings that were closed before an entry, and have not been stated since, go whole. Of confirmations and reports, those
-- that a newer one makes needless. findings_needed returns the entries that rows rest on afterwards.

-- name: findings_stale
select f.ledger_index from finding f where (f.account_id, f.product, f.uid) in (select o.account_id, o.product, o.uid from finding o
    where o.until_index = 4611686018427387904 and o.ledger_index < :past and o.closed <> ''
        and (o.image_digest = '' or (o.vulnerability = 1 and o.check_id <> 'image-scanned'))
        and not exists (select 1 from finding_seen s where s.account_id = o.account_id and s.product = o.product
            and s.uid = o.uid and s.ledger_index >= :past))
limit 1;

-- name: findings_needed
select f.ledger_index from finding f where {f.ledger_index in integers indexes}
    and (f.account_id, f.product, f.uid) not in (select o.account_id, o.product, o.uid from finding o
    where o.until_index = 4611686018427387904 and o.ledger_index < :past and o.closed <> ''
        and (o.image_digest = '' or (o.vulnerability = 1 and o.check_id <> 'image-scanned'))
        and not exists (select 1 from finding_seen s where s.account_id = o.account_id and s.product = o.product
            and s.uid = o.uid and s.ledger_index >= :past))
union select s.ledger_index from finding_seen s where {s.ledger_index in integers indexes}
    and (s.account_id, s.product, s.uid) not in (select o.account_id, o.product, o.uid from finding o
    where o.until_index = 4611686018427387904 and o.ledger_index < :past and o.closed <> ''
        and (o.image_digest = '' or (o.vulnerability = 1 and o.check_id <> 'image-scanned'))
        and not exists (select 1 from finding_seen s where s.account_id = o.account_id and s.product = o.product
            and s.uid = o.uid and s.ledger_index >= :past))
    and not exists (select 1 from finding_seen n where n.account_id = s.account_id
    and n.product = s.product and n.uid = s.uid and n.ledger_index > s.ledger_index
    and n.observed_at >= s.observed_at)
union select r.ledger_index from finding_report r where {r.ledger_index in integers indexes}
    and not exists (select 1 from finding_report n where n.account_id = r.account_id
    and n.product = r.product and n.image_digest = r.image_digest and n.ledger_index > r.ledger_index
    and n.observed_at >= r.observed_at and n.complete >= r.complete);

-- name: drop_old_findings
delete from finding where (account_id, product, uid) in (select o.account_id, o.product, o.uid from finding o
    where o.until_index = 4611686018427387904 and o.ledger_index < :past and o.closed <> ''
        and (o.image_digest = '' or (o.vulnerability = 1 and o.check_id <> 'image-scanned'))
        and not exists (select 1 from finding_seen s where s.account_id = o.account_id and s.product = o.product
            and s.uid = o.uid and s.ledger_index >= :past));

-- name: drop_old_seen
delete from finding_seen where ledger_index < :past and (
    not exists (select 1 from finding f where f.account_id = finding_seen.account_id
        and f.product = finding_seen.product and f.uid = finding_seen.uid)
    or exists (select 1 from finding_seen n where n.account_id = finding_seen.account_id
    and n.product = finding_seen.product and n.uid = finding_seen.uid and n.ledger_index > finding_seen.ledger_index
    and n.observed_at >= finding_seen.observed_at));

-- name: drop_old_reports
delete from finding_report where ledger_index < :past and exists (select 1 from finding_report n where n.account_id = finding_report.account_id
    and n.product = finding_report.product and n.image_digest = finding_report.image_digest and n.ledger_index > finding_report.ledger_index
    and n.observed_at >= finding_report.observed_at and n.complete >= finding_report.complete);
