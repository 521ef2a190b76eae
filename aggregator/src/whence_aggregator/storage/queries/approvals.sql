-- Versions of applications, the digests that they were seen with, and approvals. `past` bounds the entries that count.
-- types: past int, limit int

-- name: add_version_digest
insert into version_digest (application_id, version, digest, said_by, artifact, team, ledger_index)
select cast(:application_id as text), cast(:version as text), cast(:digest as text), cast(:said_by as text),
    cast(:artifact as text), cast(:team as text), cast(:ledger_index as bigint)
where cast(:said_by as text) = 'push' or (
    select count(*) from version_digest
    where application_id = :application_id and version = :version and said_by = :said_by) < 100
on conflict do nothing;

-- name: add_version_revision
insert into version_revision
    (application_id, version, ledger_index, artifact, reference, digest, notes, recorded_at, recorded_by)
values (:application_id, :version, :ledger_index, :artifact, :reference, :digest, :notes, :recorded_at, :recorded_by);

-- name: add_approval
insert into approval
    (application_id, version, digest, approval_type, person, user_id, emails, notes, approved_at, ledger_index)
values (:application_id, :version, :digest, :approval_type, :person, :user_id, :emails, :notes, :approved_at,
    :ledger_index);

-- name: version_digests_at
-- types: recorded_at int?, owned int
select d.application_id, d.version, d.digest, d.said_by, d.artifact, d.team, d.ledger_index,
    (select count(*) from application_span s where s.application_id = d.application_id and s.team_id = d.team
        and s.ledger_index < d.ledger_index and s.until_index >= d.ledger_index) as owned,
    (select c.recorded_at from clock c where c.ledger_index < d.ledger_index
        order by c.ledger_index desc limit 1) as recorded_at
from version_digest d
where {d.application_id in texts application_ids} and {d.version in texts versions} and d.ledger_index < :past
order by d.ledger_index, d.digest;

-- name: version_revisions_at
select application_id, version, ledger_index, artifact, reference, digest, notes, recorded_at, recorded_by
from version_revision
where {application_id in texts application_ids} and {version in texts versions} and ledger_index < :past
order by ledger_index;

-- name: approvals_at
select application_id, version, digest, approval_type, person, user_id, emails, notes, approved_at, ledger_index
from approval
where {application_id in texts application_ids} and {version in texts versions} and ledger_index < :past
order by ledger_index;

-- name: versions_after
-- types: after str, team str
select version from (
    select version from version_revision
    where application_id = :application_id and ledger_index < :past
    union
    select version from version_digest
    where application_id = :application_id and ledger_index < :past and (team = '' or team = :team or exists (
        select 1 from application_span s where s.application_id = version_digest.application_id
            and s.team_id = version_digest.team and s.ledger_index < version_digest.ledger_index
            and s.until_index >= version_digest.ledger_index))) v
where version{binary} > :after order by version{binary} limit :limit;

-- name: approval_types_of
select distinct approval_type from approval
where application_id = :application_id and ledger_index < :past order by approval_type;

-- name: commits_of_images
select distinct commit_id, image_digest, repository from image_commit
where {image_digest in texts digests} and ledger_index < :past order by image_digest, repository, commit_id;

-- name: commits_stated_of_images
select image_digest, commit_id, repository, said_by from image_commit
where {image_digest in texts digests} and ledger_index < :past
union select m.digest as image_digest, c.commit_id, c.repository, c.said_by
from image_manifest m join image_commit c on c.image_digest = m.child and c.ledger_index < :past
where {m.digest in texts digests} and m.child <> ''
order by image_digest, commit_id, repository, said_by;

-- The newest versions that the owner or a registry stated before a bound. A push counts as for version_digests_at.

-- name: versions_registered_before
-- types: version str, team str, not_version str
select version from (
    select version, max(ledger_index) as newest from (
        select d.version, d.ledger_index from version_digest d
        where d.application_id = :application_id and d.ledger_index < :past and d.said_by = 'push'
            and (d.team = :team or exists (
                select 1 from application_span s where s.application_id = d.application_id and s.team_id = d.team
                    and s.ledger_index < d.ledger_index and s.until_index >= d.ledger_index))
        union all
        select r.version, r.ledger_index from version_revision r
        where r.application_id = :application_id and r.ledger_index < :past) e
    where version <> :not_version group by version) v
order by newest desc, version{binary} limit :limit;

-- The newest versions that instances of an account stated before a bound.

-- name: versions_stated_before
-- types: version str, account_id str, not_version str
select version from (
    select version, max(ledger_index) as newest from version_digest
    where application_id = :application_id and ledger_index < :past and said_by = :account_id
        and version <> :not_version
    group by version) v
order by newest desc, version{binary} limit :limit;

-- Who wrote commits. The message only where it may name co-authors that are not in its trailers.

-- name: commit_authors
-- types: author str?, trailers str?, trailers_total int?, message str?
select f.subject, f.outcome, json_extract(f.value, '$.author') as author,
    json_extract(f.value, '$.trailers') as trailers, json_extract(f.value, '$.trailers_total') as trailers_total,
    case when lower(json_extract(f.value, '$.message')) like '%co-authored-by:%'
        then json_extract(f.value, '$.message') end as message
from fact f
where f.kind = 'commit' and {f.subject in texts subjects} and f.ledger_index = (
    select max(n.ledger_index) from fact n
    where n.kind = 'commit' and n.subject = f.subject and n.ledger_index < :past);
