-- name: enrolments_by_key
select f.* from generate_series(1, length(cast(:key_ids as bytea)), 32) as p (at) cross join lateral (
    select n.key_id, i.instance_id, i.number as instance, i.account_id, i.region, n.number, n.ledger_index, e.body, e.base, b.body as base_body
    from enrolment n join instance i on i.number = n.instance join entry e on e.ledger_index = n.ledger_index
    left join entry b on b.ledger_index = e.base
    where n.key_id = substr(cast(:key_ids as bytea), p.at, 32) limit 1) f;
