-- Statements about AMIs, and the packages of images and machines.

-- name: add_ami_statement
insert into ami_statement (ledger_index, digest, name, root_digest, builder_id, key_id, repository, commit_id, modified,
    finished_at, packages, recorded_at, recorded_by)
values (:ledger_index, :digest, :name, :root_digest, :builder_id, :key_id, :repository, :commit_id, :modified,
    :finished_at, :packages, :recorded_at, :recorded_by);

-- name: add_ami_package
insert into ami_package (statement, system, name, architecture, version, distribution, origin, suite, component)
values (:statement, :system, :name, :architecture, :version, :distribution, :origin, :suite, :component);

-- name: add_ami_named
insert into ami_named (image_id, region, statement, ledger_index)
select :image_id, :region, s.ledger_index, :ledger_index from ami_statement s where s.digest = :digest
on conflict (image_id, region, statement) do nothing;

-- name: ami_statement_of
select ledger_index, digest, name from ami_statement where digest = :digest;

-- name: amis_named_by
-- types: region str, image_id str
select n.region, n.image_id from ami_named n join ami_statement s on s.ledger_index = n.statement
where s.digest = :digest order by n.region, n.image_id;

-- name: ami_statements_named
-- types: past int
select n.image_id, n.region, n.ledger_index as named_index, s.ledger_index, s.digest, s.name, s.root_digest,
    s.builder_id, s.key_id, s.repository, s.commit_id, s.modified, s.finished_at, s.packages, s.recorded_at, s.recorded_by
from ami_named n join ami_statement s on s.ledger_index = n.statement
where {n.image_id in texts image_ids} and n.ledger_index < :past order by n.image_id, n.region, s.ledger_index;

-- Statements that agents or the tags of AMIs state, whatever AMIs they are named for.

-- name: ami_statements_stated
-- types: past int
select s.ledger_index, s.digest, s.name, s.root_digest, s.builder_id, s.key_id, s.repository, s.commit_id, s.modified,
    s.finished_at, s.packages, s.recorded_at, s.recorded_by
from ami_statement s where {s.digest in texts digests} and s.ledger_index < :past order by s.ledger_index;

-- name: packages_of_statement
-- types: limit int, after str, statement int
select system, name, architecture, version, distribution, origin, suite, component from ami_package
where statement = :statement and system || '/' || name || '/' || architecture > :after
order by system || '/' || name || '/' || architecture limit :limit;

-- name: instances_of_ami
-- types: n int, image_id str
select region, count(*) as n from instance
where image_id = :image_id and life in ('pending', 'running', 'stopping', 'unknown') group by region order by region;

-- name: agents_of_ami
-- types: instances int, changed int, image_id str, limit int
select m.digest, count(*) as instances, sum(case when m.differing > 0 then 1 else 0 end) as changed
from instance n join instance_image m on m.instance = n.number and m.ledger_index = n.ledger_index
where n.image_id = :image_id and n.life in ('pending', 'running', 'stopping', 'unknown')
group by m.digest order by m.digest limit :limit;

-- name: put_instance_image
insert into instance_image (instance, ledger_index, digest, name, packages_digest, differing, listed, unread)
values (:instance, :ledger_index, :digest, :name, :packages_digest, :differing, :listed, :unread)
on conflict (instance) do update set ledger_index = excluded.ledger_index, digest = excluded.digest, name = excluded.name,
    packages_digest = excluded.packages_digest, differing = excluded.differing, listed = excluded.listed,
    unread = excluded.unread;

-- name: drop_instance_packages
delete from instance_package where instance = :instance and ledger_index <> :ledger_index;

-- name: put_instance_package
insert into instance_package (instance, name, architecture, version, ledger_index)
values (:instance, :name, :architecture, :version, :ledger_index)
on conflict (instance, name, architecture) do update set version = excluded.version, ledger_index = excluded.ledger_index;

-- Each version of a package that an image has, or a machine that may run.

-- name: versions_of_package
-- types: limit int, version str
select version from (
    select version from ami_package where name = :name and system = :system
    union
    select p.version from instance_package p
    join instance n on n.number = p.instance and n.ledger_index = p.ledger_index and n.life in ('running', 'unknown')
    where p.name = :name and p.version <> '' and :system = 'deb') as v
order by version limit :limit;

-- Instances that run now and have one of the versions of a package: on the machine, as the agent states it; else in the
-- image, if the agent states nothing, or that the package is as in this image. The image is that of the AMI, or, if no
-- statement names the AMI, the one that the agent states.

-- name: instances_with_package
-- types: after int, limit int, silent_before int, in_account str?, in_region str?, every int, seen_at int?, life_since int?, on_machine int, version str, digest str
select i.number, i.facets, i.instance_id, i.account_id, i.region, i.cause, i.observed_at, i.ledger_index, i.life,
    (select s.seen_at from last_seen s where s.instance_id = i.instance_id) as seen_at,
    (select c.recorded_at from clock c where c.ledger_index <= i.ledger_index order by c.ledger_index desc limit 1)
        as recorded_at,
    (select c.recorded_at from clock c where c.ledger_index <= i.life_index order by c.ledger_index desc limit 1)
        as life_since,
    i.image_id, q.version, q.on_machine, q.digest
from (
    select h.number, min(h.version) as version, max(h.on_machine) as on_machine, min(h.digest) as digest from (
        select n.number, p.version, 0 as on_machine, s.digest
        from ami_package p join ami_statement s on s.ledger_index = p.statement
        join ami_named a on a.statement = p.statement
        join instance n on n.image_id = a.image_id and n.region = a.region
        where p.name = :name and p.system = :system and {p.version in texts versions} and n.number > :after
            and n.ledger_index >= 0 and n.life in ('running', 'unknown') and not exists (
            select 1 from instance_package d
            where d.instance = n.number and d.ledger_index = n.ledger_index and d.name = p.name
                and d.architecture = p.architecture and p.system = 'deb')
            and not exists (
            select 1 from instance_image m
            where m.instance = n.number and m.ledger_index = n.ledger_index and (m.differing > m.listed or m.unread <> ''
                or not exists (select 1 from ami_named b join ami_statement t on t.ledger_index = b.statement
                    where b.image_id = n.image_id and b.region = n.region and t.digest = m.digest)))
        union all
        select n.number, p.version, 0 as on_machine, s.digest
        from ami_package p join ami_statement s on s.ledger_index = p.statement
        join instance_image m on m.digest = s.digest
        join instance n on n.number = m.instance and n.ledger_index = m.ledger_index
        where p.name = :name and p.system = :system and {p.version in texts versions} and n.number > :after
            and n.life in ('running', 'unknown') and m.differing <= m.listed and m.unread = ''
            and not exists (select 1 from ami_named a where a.image_id = n.image_id and a.region = n.region)
            and not exists (
            select 1 from instance_package d
            where d.instance = n.number and d.ledger_index = n.ledger_index and d.name = p.name
                and d.architecture = p.architecture and p.system = 'deb')
        union all
        select n.number, d.version, 1 as on_machine, m.digest
        from instance_package d join instance n on n.number = d.instance and n.ledger_index = d.ledger_index
        join instance_image m on m.instance = n.number and m.ledger_index = n.ledger_index
        where d.name = :name and :system = 'deb' and {d.version in texts versions} and n.number > :after
            and n.life in ('running', 'unknown')) h
    group by h.number) q
join instance i on i.number = q.number
join facets f on f.number = i.facets
where (cast(:in_account as text) is null or i.account_id = :in_account)
    and (cast(:in_region as text) is null or i.region = :in_region)
    and (cast(:every as bigint) = 1 or {f.application_id in texts applications})
    and (i.life = 'running' or exists (
        select 1 from last_seen s where s.instance_id = i.instance_id and s.seen_at >= :silent_before))
order by i.number limit :limit;

-- Instances that run now, with what is known of their version of a package. reason: 0 it is known; 1 no statement about the
-- AMI is recorded, and none that the agent states; 2 the agent states another statement than the AMI's; 3 the agent does not
-- state all packages that differ; 4 the version cannot be compared; 5 the agent is silent; 6 the key of each statement is not
-- trusted any more; 9 it is known by the image alone, as the agent states nothing. The count has also 7: EC2 lists the
-- instance, and its agent has stated nothing yet.

-- text: package_reasons
select n.number, n.facets, n.instance_id, n.account_id, n.region, n.cause, n.observed_at, n.ledger_index, n.life,
    n.life_index, n.image_id, l.seen_at, case
    when m.instance is not null and (l.seen_at is null or l.seen_at < :silent_before) then 5
    when d.instance is not null then case when d.incomparable = 1 then 4 else 0 end
    when a.image_id is null and s.digest is null then 1
    when a.image_id is not null and a.trusted = 0 or a.image_id is null and s.trusted = 0 then 6
    when a.image_id is not null and m.instance is not null and x.image_id is null then 2
    when m.instance is not null and (m.differing > m.listed or m.unread <> '') then 3
    when b.image_id is not null or c.digest is not null then 4
    when m.instance is null then 9
    else 0 end as reason
from instance n join facets f on f.number = n.facets
left join last_seen l on l.instance_id = n.instance_id
left join instance_image m on m.instance = n.number and m.ledger_index = n.ledger_index
left join (
    select t.digest, case when {t.key_id in texts trusted} then 1 else 0 end as trusted from ami_statement t) s
    on s.digest = m.digest
left join (
    select o.image_id, o.region, max(case when {t.key_id in texts trusted} then 1 else 0 end) as trusted
    from ami_named o join ami_statement t on t.ledger_index = o.statement group by o.image_id, o.region) a
    on a.image_id = n.image_id and a.region = n.region
left join (select o.image_id, o.region, t.digest from ami_named o join ami_statement t on t.ledger_index = o.statement) x
    on x.image_id = n.image_id and x.region = n.region and x.digest = m.digest
left join (
    select e.instance, e.ledger_index,
        max(case when {e.version in texts incomparable} then 1 else 0 end) as incomparable
    from instance_package e where e.name = :name and :system = 'deb' group by e.instance, e.ledger_index) d
    on d.instance = n.number and d.ledger_index = n.ledger_index
left join (
    select distinct o.image_id, o.region from ami_package p join ami_named o on o.statement = p.statement
    where p.name = :name and p.system = :system and {p.version in texts incomparable}) b
    on b.image_id = n.image_id and b.region = n.region
left join (
    select distinct t.digest from ami_package p join ami_statement t on t.ledger_index = p.statement
    where p.name = :name and p.system = :system and {p.version in texts incomparable}) c on c.digest = m.digest
where n.number > :after and n.ledger_index >= 0 and n.life in ('running', 'unknown')
    and (n.life = 'running' or l.seen_at >= :silent_before)
    and (cast(:in_account as text) is null or n.account_id = :in_account)
    and (cast(:in_region as text) is null or n.region = :in_region)
    and (cast(:every as bigint) = 1 or {f.application_id in texts applications});

-- name: instances_without_package
-- types: after int, limit int, silent_before int, in_account str?, in_region str?, every int, name str, system str, seen_at int?, life_since int?, reason int
select i.number, i.facets, i.instance_id, i.account_id, i.region, i.cause, i.observed_at, i.ledger_index, i.life, i.seen_at,
    (select c.recorded_at from clock c where c.ledger_index <= i.ledger_index order by c.ledger_index desc limit 1)
        as recorded_at,
    (select c.recorded_at from clock c where c.ledger_index <= i.life_index order by c.ledger_index desc limit 1)
        as life_since,
    i.image_id, i.reason
from ({text package_reasons}) i where i.reason between 1 and 6 order by i.number limit :limit;

-- name: count_packages_known
-- types: after int, n int, reason int, silent_before int, in_account str?, in_region str?, every int, name str, system str
select q.reason, count(*) as n from (
    select r.reason from ({text package_reasons}) r
    union all
    select 7 as reason from instance n
    where n.ledger_index < 0 and n.life = 'running' and cast(:every as bigint) = 1
        and (cast(:in_account as text) is null or n.account_id = :in_account)
        and (cast(:in_region as text) is null or n.region = :in_region)
    union all
    select 7 as reason from inventory v left join instance n on n.instance_id = v.instance_id
    where n.number is null and v.state = 'running' and cast(:every as bigint) = 1
        and (cast(:in_account as text) is null or v.account_id = :in_account)
        and (cast(:in_region as text) is null or v.region = :in_region)) q
group by q.reason order by q.reason;
