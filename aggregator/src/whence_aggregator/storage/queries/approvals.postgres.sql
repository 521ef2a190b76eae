
-- name: commit_authors
select f.subject, f.outcome, f.stated ->> 'author' as author, f.stated ->> 'trailers' as trailers,
    cast(f.stated ->> 'trailers_total' as bigint) as trailers_total,
    case when lower(f.stated ->> 'message') like '%co-authored-by:%' then f.stated ->> 'message' end as message
from (
    select f.subject, f.outcome, cast(f.value as json) as stated from fact f
    where f.kind = 'commit' and {f.subject in texts subjects} and f.ledger_index = (
        select max(n.ledger_index) from fact n
        where n.kind = 'commit' and n.subject = f.subject and n.ledger_index < :past)) f;
