-- When what runs changed: the newest statement and life of instances before a bound, and those that follow.
-- types: first int, past int, limit int

-- name: instances_of_facets
select distinct instance from instance_facets where {facets in integers facets} order by instance limit :limit;

-- Instances that reported last, or whose life changed last: they are read whole, in place of a further index.

-- name: newest_instances
-- types: newest int
select facets, case when life_index > ledger_index then life_index else ledger_index end as newest
from instance where facets > 0 order by newest desc limit :limit;

-- name: newest_of_facets
-- types: newest int
select facets, case when life_index > ledger_index then life_index else ledger_index end as newest
from instance where {facets in integers facets} order by newest desc limit :limit;

-- name: running_before
-- types: life str
select i.number as instance, i.instance_id, s.enrolment, s.sequence, s.cause, s.facets, s.ledger_index,
    coalesce((select h.life from life h where h.instance = i.number and h.ledger_index < :past
        order by h.ledger_index desc limit 1), 'unknown') as life
from instance i join statement s on s.instance = i.number and (s.enrolment, s.sequence) = (
    select t.enrolment, t.sequence from statement t where t.instance = i.number and t.ledger_index < :past
    order by t.enrolment desc, t.sequence desc limit 1)
where {i.number in integers instances};

-- name: statements_from
-- types: life str
select s.instance, i.instance_id, s.enrolment, s.sequence, s.cause, s.facets, s.observed_at, s.ledger_index,
    coalesce((select h.life from life h where h.instance = s.instance and h.ledger_index <= s.ledger_index
        order by h.ledger_index desc limit 1), 'unknown') as life,
    (select c.recorded_at from clock c where c.ledger_index <= s.ledger_index order by c.ledger_index desc limit 1)
        as recorded_at
from statement s join instance i on i.number = s.instance
where {s.instance in integers instances} and s.ledger_index >= :first and s.ledger_index < :past
order by s.ledger_index limit :limit;

-- name: lives_from
select h.instance, i.instance_id, h.life, h.ledger_index,
    (select c.recorded_at from clock c where c.ledger_index <= h.ledger_index order by c.ledger_index desc limit 1)
        as recorded_at
from life h join instance i on i.number = h.instance
where {h.instance in integers instances} and h.ledger_index >= :first and h.ledger_index < :past
order by h.ledger_index limit :limit;

-- name: facets_whole
select number, account_id, region, application_id, application_version, user_data_digest, image_digest from facets
where {number in integers numbers};

-- name: application_known
-- types: n int, name str
select 1 as n from application_revision where application_id = :name
union select 1 from facets where application_id = :name limit 1;

-- name: team_known
-- types: n int, name str
select 1 as n from application_span where team_id = :name union select 1 from team_name where name = :name
union select 1 from team_revision where team_id = :name limit 1;

-- name: account_known
-- types: n int, name str
select 1 as n from account_revision where account_id = :name union select 1 from facets where account_id = :name
union select 1 from listing where account_id = :name union select 1 from inventory where account_id = :name limit 1;
