-- Applications and their revisions.
-- types: limit int, past int

-- name: application_at
select application_id, revision, recorded_at, recorded_by, body, ledger_index from application_revision
where application_id = :application_id and ledger_index < :past order by revision desc limit 1;

-- name: application_first
select recorded_at, recorded_by from application_revision where application_id = :application_id
order by revision limit 1;

-- name: applications_all_at
-- types: after str
select r.application_id, r.revision, r.recorded_at, r.recorded_by, r.body, r.ledger_index,
    f.recorded_at as created_at, f.recorded_by as created_by
from application_revision r
join (select application_id, max(revision) as revision from application_revision
    where ledger_index < :past and application_id > :after
    group by application_id order by application_id limit :limit) n
    on n.application_id = r.application_id and n.revision = r.revision
join application_revision f on f.application_id = r.application_id and f.revision = 1
order by r.application_id;

-- name: revisions_of_entries
-- types: newest int
select r.application_id, r.revision, r.ledger_index, (select max(n.revision) from application_revision n
    where n.application_id = r.application_id) as newest
from application_revision r where {r.ledger_index in integers indexes};

-- name: remove_application_revision
delete from application_revision where ledger_index = :ledger_index;

-- name: add_application_revision
insert into application_revision (application_id, revision, recorded_at, recorded_by, body, ledger_index)
values (:application_id, :revision, :recorded_at, :recorded_by, :body, :ledger_index);
