-- Teams and accounts of the organisation. `past` bounds the entries that count.
-- types: past int, limit int, after str

-- name: add_team_revision
insert into team_revision (source, team_id, ledger_index, change, into_team, spelled, team_name, aliases, observed_at)
values (:source, :team_id, :ledger_index, :change, :into_team, :spelled, :team_name, :aliases, :observed_at);

-- name: add_team_name
insert into team_name (name, source, team_id, ledger_index, held)
values (:name, :source, :team_id, :ledger_index, :held);

-- name: add_team_members
insert into team_members (source, team_id, ledger_index, members)
values (:source, :team_id, :ledger_index, :members);

-- name: remove_team_members
delete from team_members where ledger_index = :ledger_index;

-- name: add_account_revision
insert into account_revision (account_id, source, ledger_index, change, active, body, observed_at)
values (:account_id, :source, :ledger_index, :change, :active, :body, :observed_at);

-- name: add_organisation_read
insert into organisation_read (source, ledger_index, teams, accounts, observed_at)
values (:source, :ledger_index, :teams, :accounts, :observed_at);

-- name: begin_organisation_read
insert into organisation_source (source, begun_at, read_at, failed_at, failure, notes)
values (:source, :begun_at, null, null, '', '[]')
on conflict (source) do update set begun_at = excluded.begun_at where excluded.begun_at > organisation_source.begun_at;

-- name: end_organisation_read
update organisation_source set read_at = :begun_at, failed_at = null, failure = '', notes = :notes
where source = :source and begun_at = :begun_at;

-- name: fail_organisation_read
update organisation_source set failed_at = :begun_at, failure = :failure, notes = :notes
where source = :source and begun_at = :begun_at;

-- name: organisation_read_begun
select begun_at from organisation_source where source = :source;

-- name: organisation_sources
select source, begun_at, read_at, failed_at, failure, notes from organisation_source order by source;

-- name: organisation_reads_at
select r.source, r.ledger_index, r.teams, r.accounts, r.observed_at from organisation_read r
where r.ledger_index = (select max(n.ledger_index) from organisation_read n
    where n.source = r.source and n.ledger_index < :past) order by r.source;

-- name: teams_of_source
select r.team_id, r.change, r.spelled, r.team_name, r.aliases from team_revision r
where r.source = :source and r.ledger_index = (select max(n.ledger_index) from team_revision n
    where n.team_id = r.team_id and n.source = r.source);

-- name: names_of_source
select distinct team_id, name from team_name where source = :source;

-- name: members_of_source
select m.team_id, m.members from team_members m
where m.source = :source and m.ledger_index = (select max(n.ledger_index) from team_members n
    where n.source = m.source and n.team_id = m.team_id);

-- name: accounts_of_source
select a.account_id, a.change, a.body from account_revision a
where a.source = :source and a.ledger_index = (select max(n.ledger_index) from account_revision n
    where n.account_id = a.account_id and n.source = a.source);

-- name: names_of_team
select distinct name from team_name where team_id = :team_id and ledger_index < :past;

-- name: teams_named_at
-- types: revised_index int
select n.name, n.source, n.team_id, n.held, n.ledger_index, r.change, r.team_name, r.ledger_index as revised_index,
    r.observed_at
from team_name n join team_revision r on r.team_id = n.team_id and r.source = n.source and r.ledger_index = (
    select max(o.ledger_index) from team_revision o
    where o.team_id = n.team_id and o.source = n.source and o.ledger_index < :past)
where {n.name in texts names} and n.ledger_index = (select max(o.ledger_index) from team_name o
    where o.name = n.name and o.source = n.source and o.team_id = n.team_id and o.ledger_index < :past);

-- name: team_revisions_at
select r.source, r.team_id, r.ledger_index, r.change, r.into_team, r.spelled, r.team_name, r.aliases, r.observed_at
from team_revision r
where {r.team_id in texts team_ids} and r.ledger_index = (select max(n.ledger_index) from team_revision n
    where n.team_id = r.team_id and n.source = r.source and n.ledger_index < :past);

-- name: team_ids_at
select team_id from team_revision where team_id{binary} > :after and ledger_index < :past
group by team_id order by team_id{binary} limit :limit;

-- name: team_history
select r.source, r.team_id, r.ledger_index, r.change, r.into_team, r.spelled, r.team_name, r.aliases, r.observed_at
from team_revision r where (r.team_id = :team_id or r.into_team = :team_id) and r.ledger_index < :past
order by r.ledger_index desc limit :limit;

-- name: team_members_at
select m.source, m.team_id, m.ledger_index, m.members from team_members m
where {m.team_id in texts team_ids} and m.ledger_index = (select max(n.ledger_index) from team_members n
    where n.source = m.source and n.team_id = m.team_id and n.ledger_index < :past);

-- name: lists_with_member
-- types: pattern str, next_index int?, recorded_at int?, next_at int?
select m.source, m.team_id, m.ledger_index, m.members, m.next_index,
    (select c.recorded_at from clock c where c.ledger_index <= m.ledger_index order by c.ledger_index desc limit 1)
        as recorded_at,
    (select c.recorded_at from clock c where c.ledger_index <= m.next_index order by c.ledger_index desc limit 1)
        as next_at
from (
    select t.source, t.team_id, t.ledger_index, t.members, (
        select min(n.ledger_index) from team_members n
        where n.source = t.source and n.team_id = t.team_id and n.ledger_index > t.ledger_index
            and n.ledger_index < :past) as next_index
    from team_members t where t.members like :pattern escape '!' and t.ledger_index < :past) m
order by m.source, m.team_id, m.ledger_index limit :limit;

-- name: team_members_replaced
-- types: newest int
select m.ledger_index, (select max(n.ledger_index) from team_members n
    where n.source = m.source and n.team_id = m.team_id) as newest
from team_members m where {m.ledger_index in integers indexes};

-- name: account_revisions_at
select a.account_id, a.source, a.ledger_index, a.change, a.body, a.observed_at from account_revision a
where {a.account_id in texts account_ids} and a.ledger_index = (select max(n.ledger_index) from account_revision n
    where n.account_id = a.account_id and n.source = a.source and n.ledger_index < :past);

-- name: account_ids_at
select distinct account_id from account_revision where account_id > :after and ledger_index < :past
order by account_id limit :limit;

-- name: account_history
select account_id, source, ledger_index, change, body, observed_at from account_revision
where account_id = :account_id and ledger_index < :past order by ledger_index desc limit :limit;

-- name: account_active
select a.active from account_revision a
where a.account_id = :account_id and a.source = :source and a.ledger_index = (
    select max(n.ledger_index) from account_revision n where n.account_id = a.account_id and n.source = a.source);

-- name: accounts_active
select a.account_id from account_revision a
where a.source = :source and a.active = 1 and a.ledger_index = (
    select max(n.ledger_index) from account_revision n where n.account_id = a.account_id and n.source = a.source)
order by a.account_id;

-- name: keep_group
insert into group_seen (team_id, spelled, seen_at) values (:team_id, :spelled, :seen_at)
on conflict (team_id) do update set seen_at = excluded.seen_at where excluded.seen_at > group_seen.seen_at;

-- name: groups_seen
select team_id, spelled, seen_at from group_seen order by team_id{binary} limit :limit;

-- name: drop_groups
-- types: before int
delete from group_seen where seen_at < :before;
