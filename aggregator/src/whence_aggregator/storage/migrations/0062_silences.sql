-- When agents were silent, by the verdicts of the rule agent-silent, which the entries state: a verdict of which silent_since
-- is not empty is about a silence, and the next one ends it. Only what changes is a row; heartbeats are none.
create table silence (
    instance bigint not null,
    ledger_index bigint not null,
    at text not null,
    verdict text not null,
    silent_since text not null,
    primary key (instance, ledger_index)
){compact};
