-- Tables that came after entries that they follow from: entries [following, past) are yet to be read for them, at the start.
create table derivation_due (
    name text primary key,
    following bigint not null,
    past bigint not null
);
insert into derivation_due (name, following, past)
select 'silence', 0, ledger_index + 1 from entry order by ledger_index desc limit 1;
