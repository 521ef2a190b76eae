-- name: instances_with_facets_now
select i.*, l.seen_at,
    (select c.recorded_at from clock c where c.ledger_index <= i.ledger_index order by c.ledger_index desc limit 1)
        as recorded_at,
    (select c.recorded_at from clock c where c.ledger_index <= i.life_index order by c.ledger_index desc limit 1)
        as life_since
from (
    select n.* from unnest(cast(:facets as bigint[])) as w (facets) cross join lateral (
        select number, facets, instance_id, account_id, region, cause, observed_at, ledger_index, life, life_index
        from instance
        where facets = w.facets and number > :after and (cast(:cause as text) is null or cause = :cause)
            and ledger_index >= :first and ledger_index < :before
            and (cast(:ami as text) is null or image_id = :ami)
            and life in ('running', 'unknown') and (life = 'running' or exists (
            select 1 from last_seen s where s.instance_id = instance.instance_id and s.seen_at >= :silent_before))
        order by number limit :limit) n
    order by n.number limit :limit) i
left join last_seen l on l.instance_id = i.instance_id
order by i.number;
