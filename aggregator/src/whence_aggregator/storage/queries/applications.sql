-- Applications and their revisions.
-- types: limit int, past int

-- name: application_at
select application_id, revision, recorded_at, recorded_by, body, ledger_index from application_revision
where application_id = :application_id and ledger_index < :past order by revision desc limit 1;

-- name: application_first
select recorded_at, recorded_by from application_revision where application_id = :application_id
order by revision limit 1;

-- name: applications_owned
select s.application_id from application_span s
where {s.team_id in texts teams} and s.ledger_index < :past and s.until_index >= :past order by s.application_id;

-- name: revisions_of_entries
-- types: newest int
select r.application_id, r.revision, r.ledger_index, (select max(n.revision) from application_revision n
    where n.application_id = r.application_id) as newest
from application_revision r where {r.ledger_index in integers indexes};

-- name: remove_application_revision
delete from application_revision where ledger_index = :ledger_index;

-- name: applications_listed
-- types: after str, active int?, team str?, incident_contact str?, modified_after str?, modified_before str?
select r.application_id, r.revision, r.recorded_at, r.recorded_by, r.body, r.ledger_index,
    f.recorded_at as created_at, f.recorded_by as created_by
from (select s.application_id, s.revision from application_span s
    where s.application_id > :after and s.ledger_index < :past and s.until_index >= :past
        and (cast(:team as text) is null or {s.team_id in texts teams})
        and (cast(:incident_contact as text) is null or s.incident_contact = :incident_contact)
        and (cast(:active as bigint) is null or s.active = :active)
        and (cast(:modified_after as text) is null or s.recorded_at >= :modified_after)
        and (cast(:modified_before as text) is null or s.recorded_at <= :modified_before)
    order by s.application_id limit :limit) n
join application_revision r on r.application_id = n.application_id and r.revision = n.revision
join application_revision f on f.application_id = r.application_id and f.revision = 1
order by r.application_id;

-- name: applications_named
select r.application_id, r.revision, r.recorded_at, r.recorded_by, r.body, r.ledger_index,
    f.recorded_at as created_at, f.recorded_by as created_by
from application_span s
join application_revision r on r.application_id = s.application_id and r.revision = s.revision
join application_revision f on f.application_id = r.application_id and f.revision = 1
where {s.application_id in texts application_ids} and s.ledger_index < :past and s.until_index >= :past;

-- name: applications_ranked
-- types: terms str, wanted int, whole str, score int, after str, rank int
-- types: active int?, team str?, incident_contact str?, modified_after str?, modified_before str?
select x.application_id, x.rank from (
    select m.application_id, m.rank + case when m.application_id = :whole then 1000000 else 0 end as rank from (
        select b.application_id, cast(sum(b.best) as bigint) as rank from (
            select w.application_id, t.n, max(w.score * t.factor) as best
            from (select json_extract(value, '$.n') as n, json_extract(value, '$.low') as low,
                json_extract(value, '$.high') as high, json_extract(value, '$.factor') as factor
                from json_each(:terms)) t
            cross join application_word w
            where w.word >= t.low and w.word <= t.high and w.ledger_index < :past and w.until_index >= :past
            group by w.application_id, t.n) b
        group by b.application_id having count(*) = :wanted) m) x
join application_span s on s.application_id = x.application_id and s.ledger_index < :past and s.until_index >= :past
where (x.rank < :score or (x.rank = :score and x.application_id{binary} > :after))
    and (cast(:team as text) is null or {s.team_id in texts teams})
    and (cast(:incident_contact as text) is null or s.incident_contact = :incident_contact)
    and (cast(:active as bigint) is null or s.active = :active)
    and (cast(:modified_after as text) is null or s.recorded_at >= :modified_after)
    and (cast(:modified_before as text) is null or s.recorded_at <= :modified_before)
order by x.rank desc, x.application_id{binary} limit :limit;

-- name: application_revisions
-- types: before int
select application_id, revision, recorded_at, recorded_by, body, ledger_index from application_revision
where application_id = :application_id and ledger_index < :past and revision < :before
order by revision desc limit :limit;

-- name: application_handovers
select application_id, ledger_index, number, action, from_team, to_team, recorded_at, recorded_by, subject, note
from application_handover where application_id = :application_id and ledger_index < :past
order by ledger_index desc limit :limit;

-- name: application_words_now
select word, score from application_word
where application_id = :application_id and until_index = 4611686018427387904;

-- name: applications_begun
-- types: after int
select application_id, ledger_index, team_id, incident_contact, active, recorded_at from application_span
where ledger_index > :after and until_index = 4611686018427387904 order by ledger_index limit :limit;

-- name: application_words_of
select application_id, word, score from application_word
where {application_id in texts application_ids} and until_index = 4611686018427387904;

-- name: applications_unindexed
-- types: after int
select r.application_id, r.revision, r.recorded_at, r.recorded_by, r.body, r.ledger_index from application_revision r
where r.ledger_index > :after and not exists (
    select 1 from application_span s where s.application_id = r.application_id and s.ledger_index = r.ledger_index)
order by r.ledger_index limit :limit;

-- name: add_application_revision
insert into application_revision (application_id, revision, recorded_at, recorded_by, body, ledger_index)
values (:application_id, :revision, :recorded_at, :recorded_by, :body, :ledger_index);

-- name: remove_application_spans
delete from application_span where application_id = :application_id;

-- name: remove_application_words
delete from application_word where application_id = :application_id;

-- name: end_application_span
update application_span set until_index = :until_index
where application_id = :application_id and until_index = 4611686018427387904;

-- name: add_application_span
insert into application_span (application_id, revision, ledger_index, until_index, team_id, incident_contact, active, recorded_at)
values (:application_id, :revision, :ledger_index, :until_index, :team_id, :incident_contact, :active, :recorded_at);

-- name: end_application_word
update application_word set until_index = :until_index
where word = :word and application_id = :application_id and until_index = 4611686018427387904;

-- name: add_application_word
insert into application_word (word, application_id, ledger_index, until_index, score)
values (:word, :application_id, :ledger_index, :until_index, :score);

-- name: add_application_handover
insert into application_handover (application_id, ledger_index, number, action, from_team, to_team, recorded_at, recorded_by, subject, note)
values (:application_id, :ledger_index, :number, :action, :from_team, :to_team, :recorded_at, :recorded_by, :subject, :note);
