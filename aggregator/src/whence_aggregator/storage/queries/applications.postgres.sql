-- name: applications_ranked
select x.application_id, x.rank from (
    select m.application_id, m.rank + case when m.application_id = :whole then 1000000 else 0 end as rank from (
        select b.application_id, cast(sum(b.best) as bigint) as rank from (
            select w.application_id, t.n, max(w.score * t.factor) as best
            from json_to_recordset(cast(cast(:terms as text) as json)) as t (n bigint, low text, high text, factor bigint)
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
