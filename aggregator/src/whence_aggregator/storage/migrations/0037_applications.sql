-- When each revision of an application was the newest: from its entry to the one that replaced it. `until_index` is
-- 4611686018427387904 while it lasts. The filters of lists are here.
create table application_span (
    application_id text not null,
    revision bigint not null,
    ledger_index bigint not null,
    until_index bigint not null,
    team_id text not null,
    incident_contact text not null,
    active bigint not null,
    recorded_at text not null,
    primary key (application_id, ledger_index)
);

create index application_span_team on application_span (team_id, application_id);
create index application_span_begun on application_span (ledger_index);

-- The words by which a search finds an application, and their scores, with the same bounds.
create table application_word (
    word text{binary} not null,
    application_id text not null,
    ledger_index bigint not null,
    until_index bigint not null,
    score bigint not null,
    primary key (word, application_id, ledger_index)
){compact};

create index application_word_of on application_word (application_id, until_index);

-- What became of each offer to hand an application over to another team. `number` is the ledger index of the offer.
create table application_handover (
    application_id text not null,
    ledger_index bigint not null,
    number bigint not null,
    action text not null,
    from_team text not null,
    to_team text not null,
    recorded_at text not null,
    recorded_by text not null,
    subject text not null,
    note text not null,
    primary key (application_id, ledger_index)
);
