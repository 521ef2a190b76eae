-- Digests that a version of an application was pushed or seen with, each from the entry that had it first. said_by is
-- `push`, with the reference and the team of its repository, or the account of an instance that states it.
create table version_digest (
    application_id text not null,
    version text not null,
    digest text not null,
    said_by text not null,
    artifact text not null,
    team text not null,
    ledger_index bigint not null,
    primary key (application_id, version, digest, said_by, artifact)
){compact};

-- What was recorded before this table was made.
insert into version_digest (application_id, version, digest, said_by, artifact, team, ledger_index)
select substr(m.repository, length(m.team) + 2),
    substr(t.reference, {find}(t.reference, '/' || m.repository || ':') + length(m.repository) + 2),
    t.digest, 'push', t.reference, m.team, t.ledger_index
from tag_digest t join image_manifest m on m.digest = t.digest
    and {find}(t.reference, '/' || m.repository || ':') = {find}(t.reference, '/')
where t.said_by = 'front' and m.image <> '';

insert into version_digest (application_id, version, digest, said_by, artifact, team, ledger_index)
select v.application_id, v.application_version, v.image_digest, v.account_id, '', '', v.first_index from (
    select f.application_id, f.application_version, f.image_digest, f.account_id, min(s.ledger_index) as first_index,
        row_number() over (
            partition by f.application_id, f.application_version, f.account_id order by min(s.ledger_index)) as place
    from facets f join statement s on s.facets = f.number
    where f.application_id <> '' and f.application_version <> '' and f.image_digest <> ''
    group by f.application_id, f.application_version, f.image_digest, f.account_id) v
where v.place <= 100;

-- What people state about a version. reference is the tag that the artifact names, or empty; digest what it named or pointed
-- to when it was stated, or empty.
create table version_revision (
    application_id text not null,
    version text not null,
    ledger_index bigint not null,
    artifact text not null,
    reference text not null,
    digest text not null,
    notes text,
    recorded_at text not null,
    recorded_by text not null,
    primary key (application_id, version, ledger_index)
){compact};

-- Approvals, each of one digest. person identifies who gave it, user_id is the name at that time. No row is ever deleted.
create table approval (
    application_id text not null,
    version text not null,
    digest text not null,
    approval_type text not null,
    person text not null,
    user_id text not null,
    emails text not null,
    notes text,
    approved_at text not null,
    ledger_index bigint not null,
    primary key (application_id, version, digest, approval_type, person)
){compact};
