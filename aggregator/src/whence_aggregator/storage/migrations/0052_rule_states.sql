-- The newest change of each rule that users wrote, and of each rule that was switched off. version counts the changes of a
-- rule's source; digest is that of its source, empty for built-in and for removed rules. reason: why it is off; empty: it is
-- not. source_index is the entry with the source; -1: none.
create table rule_state (
    rule text primary key,
    version bigint not null,
    digest text not null,
    reason text not null,
    source_index bigint not null,
    ledger_index bigint not null
){compact};
