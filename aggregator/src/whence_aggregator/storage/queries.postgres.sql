-- name: known_statements
select digest, instance_id, enrolment, sequence, ledger_index from statement
where digest in (select jsonb_array_elements_text(cast(:digests as jsonb)));

-- name: taken_sequences
select s.digest, s.instance_id, s.enrolment, s.sequence, s.ledger_index
from statement s join jsonb_array_elements(cast(:keys as jsonb)) k
on s.instance_id = k->>0 and s.enrolment = cast(k->>1 as bigint) and s.sequence = cast(k->>2 as bigint);
