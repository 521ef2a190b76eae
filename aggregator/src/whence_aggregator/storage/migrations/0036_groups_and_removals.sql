-- When a verified token last named a team among its groups, by whichever process verified it. No evidence by itself and in
-- no entry: what the readings of the source `groups` find in it is.
create table group_seen (
    team_id text primary key,
    spelled text not null,
    seen_at bigint not null
){compact};

-- Entries whose bodies were removed because they named a person, and the entry that states it.
create table removed_entry (
    ledger_index bigint primary key,
    stated_by bigint not null
){compact};
