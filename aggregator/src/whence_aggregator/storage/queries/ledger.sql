-- The log: entries, tiles, checkpoints and clocks.
-- types: base_body bytes?, limit int, past int, first int

-- name: last_index
-- types: last_index int
select coalesce(max(ledger_index), -1) as last_index from entry;

-- name: last_clock
-- types: key_index int?
select ledger_index, recorded_at, latest,
    (select max(e.ledger_index) from entry e where e.kind = 'log-key' and e.kind in ('log-key', 'pruned')) as key_index
from clock order by ledger_index desc limit 1;

-- name: append_entry
insert into entry (ledger_index, kind, base, body, digest_head)
values (:ledger_index, :kind, :base, :body, :digest_head);

-- name: put_tile
insert into tile (level, number, hashes) values (:level, :number, :hashes)
on conflict (level, number) do update set hashes = excluded.hashes;

-- name: tiles_of_level
select level, number, hashes from tile where level = :level and {number in integers numbers};

-- name: put_checkpoint
insert into checkpoint (size, note) values (:size, :note) on conflict (size) do update set note = excluded.note;

-- name: newest_checkpoint
select size, note from checkpoint order by size desc limit 1;

-- name: add_clock
insert into clock (ledger_index, recorded_at, latest) values (:ledger_index, :recorded_at, :latest);

-- name: clock_past
-- types: at int
select ledger_index from clock where latest > :at order by latest, ledger_index limit 1;

-- name: first_clock
select recorded_at from clock order by ledger_index limit 1;

-- name: clock_at
select recorded_at from clock where ledger_index <= :ledger_index order by ledger_index desc limit 1;

-- name: clock_entry_at
select ledger_index from clock where ledger_index <= :ledger_index order by ledger_index desc limit 1;

-- name: clock_range
-- types: since int, until int, first int?, last int?
select min(ledger_index) as first, max(ledger_index) as last from clock
where recorded_at >= :since and recorded_at < :until;

-- name: clock_after
-- types: ledger_index int?
select min(ledger_index) as ledger_index from clock where ledger_index > :ledger_index;

-- name: entries_from
select e.ledger_index, e.kind, e.base, e.body, b.body as base_body, e.digest_head
from entry e left join entry b on b.ledger_index = e.base
where e.ledger_index >= :first and e.ledger_index < :past order by e.ledger_index limit :limit;

-- name: entries_at
select e.ledger_index, e.kind, e.base, e.body, b.body as base_body, e.digest_head
from entry e left join entry b on b.ledger_index = e.base
where {e.ledger_index in integers indexes} order by e.ledger_index;

-- name: newest_of_kind
select e.ledger_index, e.kind, e.base, e.body, b.body as base_body
from entry e left join entry b on b.ledger_index = e.base
where e.kind = :kind and e.kind in ('log-key', 'pruned') order by e.ledger_index desc limit 1;

-- name: entries_by_digest
select e.ledger_index, e.kind, e.base, e.body, b.body as base_body, e.digest_head
from entry e left join entry b on b.ledger_index = e.base
where e.digest_head = :digest_head order by e.ledger_index limit 16;

-- name: entries_beginning
-- types: head_least int, head_most int
select e.ledger_index, e.kind, e.base, e.body, b.body as base_body, e.digest_head
from entry e left join entry b on b.ledger_index = e.base
where e.digest_head >= :head_least and e.digest_head <= :head_most order by e.digest_head, e.ledger_index limit :limit;

-- name: prunable
select e.ledger_index from entry e
where {e.kind in texts kinds} and e.ledger_index >= :first and e.ledger_index < :past and e.body is not null
    and not exists (select 1 from instance i where i.base = e.ledger_index or i.ledger_index = e.ledger_index)
order by e.ledger_index limit :limit;

-- name: bases_needed
select distinct base from entry where ledger_index >= :past and base < :past;

-- name: prune_entry
update entry set body = null, base = null where ledger_index = :ledger_index;

-- name: bodies_of_kinds
select e.ledger_index, e.kind, e.base, e.body, b.body as base_body, e.digest_head
from entry e left join entry b on b.ledger_index = e.base
where {e.kind in texts kinds} and e.ledger_index >= :first and e.body is not null order by e.ledger_index limit :limit;

-- name: entries_of_kind
select e.ledger_index, e.kind, e.base, e.body, b.body as base_body, e.digest_head
from entry e left join entry b on b.ledger_index = e.base
where e.kind = :kind and e.ledger_index >= :first and e.ledger_index < :past order by e.ledger_index;

-- name: derivation_due
select following, past from derivation_due where name = :name;

-- name: move_derivation
update derivation_due set following = :following where name = :name and following < :following;

-- name: end_derivation
delete from derivation_due where name = :name and following >= past;

-- name: end_derivations
delete from derivation_due;

-- name: add_removed_entry
insert into removed_entry (ledger_index, stated_by) values (:ledger_index, :stated_by) on conflict do nothing;

-- name: removed_among
select ledger_index from removed_entry where {ledger_index in integers indexes};
