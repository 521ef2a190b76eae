-- The facts of lineages, and the search for instances.
-- types: base_body bytes?, limit int, past int, known_past int, soon_past int, at int, first int, before int, after int, silent_before int

-- A place is unread after three failures in succession.

-- name: lives_of
-- types: listed_at int?, since int?, unread str
select i.instance_id, i.life, v.listed_at, case when v.failures >= 3 then v.failure else '' end as unread,
    (select c.recorded_at from clock c where c.ledger_index <= i.life_index order by c.ledger_index desc limit 1) as since
from instance i left join listing v on v.account_id = i.account_id and v.region = i.region
where {i.instance_id in texts instance_ids};

-- name: lives_at
-- types: listed_at int?, since int?, unread str
select i.instance_id, h.life, cast(null as bigint) as listed_at, '' as unread,
    (select c.recorded_at from clock c where c.ledger_index <= h.ledger_index order by c.ledger_index desc limit 1) as since
from instance i join life h on h.instance = i.number and h.ledger_index = (
    select max(n.ledger_index) from life n where n.instance = i.number and n.ledger_index < :past)
where {i.instance_id in texts instance_ids};

-- name: seen
select instance_id, seen_at, counter, skew_millis, skew_confirmed from last_seen where {instance_id in texts instance_ids};

-- name: statements_now
select i.instance_id, i.number as instance, i.enrolment, i.sequence, i.cause, i.observed_at, i.ledger_index,
    (select c.recorded_at from clock c where c.ledger_index <= i.ledger_index order by c.ledger_index desc limit 1)
        as recorded_at, e.base, e.body, b.body as base_body
from instance i join entry e on e.ledger_index = i.ledger_index left join entry b on b.ledger_index = e.base
where {i.instance_id in texts instance_ids};

-- name: statements_at
select i.instance_id, i.number as instance, s.enrolment, s.sequence, s.cause, s.observed_at, s.ledger_index,
    (select c.recorded_at from clock c where c.ledger_index <= s.ledger_index order by c.ledger_index desc limit 1)
        as recorded_at, e.base, e.body, b.body as base_body
from instance i join statement s on s.instance = i.number and (s.enrolment, s.sequence) = (
    select t.enrolment, t.sequence from statement t where t.instance = i.number and t.ledger_index < :past
    order by t.enrolment desc, t.sequence desc limit 1)
join entry e on e.ledger_index = s.ledger_index left join entry b on b.ledger_index = e.base
where {i.instance_id in texts instance_ids};

-- name: statements_later
-- types: total int
select l.instance_id, l.instance, l.enrolment, l.sequence, l.cause, l.observed_at, l.ledger_index, l.total,
    (select c.recorded_at from clock c where c.ledger_index <= l.ledger_index order by c.ledger_index desc limit 1)
        as recorded_at, e.base, e.body, b.body as base_body
from (
    select i.instance_id, s.instance, s.enrolment, s.sequence, s.cause, s.observed_at, s.ledger_index,
        count(*) over (partition by s.instance) as total,
        row_number() over (partition by s.instance order by s.enrolment desc, s.sequence desc) as place
    from instance i join statement s on s.instance = i.number
    join enrolment n on n.instance = s.instance and n.number = s.enrolment
    where {i.instance_id in texts instance_ids} and s.ledger_index >= :past and s.ledger_index < :known_past
        and s.observed_at <= :at and n.pending_at <= :at) l
join entry e on e.ledger_index = l.ledger_index left join entry b on b.ledger_index = e.base
where l.place <= :limit order by l.instance, l.enrolment desc, l.sequence desc;

-- name: statements_of
select s.ledger_index, s.enrolment, s.sequence, s.cause, s.observed_at, f.image_digest,
    (select c.recorded_at from clock c where c.ledger_index <= s.ledger_index order by c.ledger_index desc limit 1)
        as recorded_at, e.body, b.body as base_body
from instance i join statement s on s.instance = i.number join facets f on f.number = s.facets
join entry e on e.ledger_index = s.ledger_index left join entry b on b.ledger_index = e.base
where i.instance_id = :instance_id and s.ledger_index < :past order by s.enrolment desc, s.sequence desc limit :limit;

-- name: facets_matching
select number from facets
where (cast(:application as text) is null or application_id = :application)
    and (cast(:version as text) is null or application_version = :version)
    and (cast(:account as text) is null or account_id = :account)
    and (cast(:region as text) is null or region = :region)
    and (cast(:user_data as text) is null or user_data_digest = :user_data);

-- name: facets_of_application
-- types: application str
select number from facets where application_id = :application
    and (cast(:version as text) is null or application_version = :version)
    and (cast(:account as text) is null or account_id = :account)
    and (cast(:region as text) is null or region = :region)
    and (cast(:user_data as text) is null or user_data_digest = :user_data);

-- name: facets_of_user_data
-- types: user_data str
select number from facets where user_data_digest = :user_data
    and (cast(:version as text) is null or application_version = :version)
    and (cast(:account as text) is null or account_id = :account)
    and (cast(:region as text) is null or region = :region);

-- name: facets_of_applications
select number from facets where {application_id in texts applications};

-- name: ami_missing
select number from instance where image_id = '' limit 1;

-- name: facets_of_ami
-- types: ami str
select distinct facets as number from instance where image_id = :ami and ledger_index >= 0;

-- name: facets_of_ami_ever
-- types: ami str
select distinct s.facets as number from instance i join statement s on s.instance = i.number where i.image_id = :ami;

-- name: facets_of_images
select number from facets where {image_digest in texts images}
union all select facets from facets_image where {image_digest in texts images};

-- name: few_facets_of_images
select number, application_id, application_version, user_data_digest, image_digest from facets
where {image_digest in texts images}
union all select f.number, f.application_id, f.application_version, f.user_data_digest, f.image_digest
from facets_image m join facets f on f.number = m.facets where {m.image_digest in texts images}
limit :limit;

-- name: facets_numbered
select number, application_id, application_version, user_data_digest, image_digest from facets
where {number in integers numbers};

-- name: facets_of_images_matching
select f.number from (
    select number from facets where {image_digest in texts images}
    union all select facets from facets_image where {image_digest in texts images}) m
join facets f on f.number = m.number
where (cast(:application as text) is null or application_id = :application)
    and (cast(:version as text) is null or application_version = :version)
    and (cast(:account as text) is null or account_id = :account)
    and (cast(:region as text) is null or region = :region)
    and (cast(:user_data as text) is null or user_data_digest = :user_data);

-- name: instances_with_facets_now
-- types: seen_at int?, life_since int?
select i.*, l.seen_at,
    (select c.recorded_at from clock c where c.ledger_index <= i.ledger_index order by c.ledger_index desc limit 1)
        as recorded_at,
    (select c.recorded_at from clock c where c.ledger_index <= i.life_index order by c.ledger_index desc limit 1)
        as life_since
from (
    select number, facets, instance_id, account_id, region, cause, observed_at, ledger_index, life, life_index
    from instance
    where {facets in integers facets} and number > :after and (cast(:cause as text) is null or cause = :cause)
        and ledger_index >= :first and ledger_index < :before
        and (cast(:ami as text) is null or image_id = :ami)
        and life in ('running', 'unknown') and (life = 'running' or exists (
        select 1 from last_seen s where s.instance_id = instance.instance_id and s.seen_at >= :silent_before))
    order by number limit :limit) i
left join last_seen l on l.instance_id = i.instance_id
order by i.number;

-- name: instances_with_facets_state
-- types: seen_at int?, life_since int?
select i.*, l.seen_at,
    (select c.recorded_at from clock c where c.ledger_index <= i.ledger_index order by c.ledger_index desc limit 1)
        as recorded_at,
    (select c.recorded_at from clock c where c.ledger_index <= i.life_index order by c.ledger_index desc limit 1)
        as life_since
from (
    select number, facets, instance_id, account_id, region, cause, observed_at, ledger_index, life, life_index
    from instance
    where {facets in integers facets} and number > :after and (cast(:cause as text) is null or cause = :cause)
        and ledger_index >= :first and ledger_index < :before
        and (cast(:ami as text) is null or image_id = :ami)
        and {life in texts lives} and (
        (cast(:every as bigint) = 1) or (cast(:never as bigint) = 1 and not exists (
            select 1 from last_seen s where s.instance_id = instance.instance_id)) or exists (
            select 1 from last_seen s where s.instance_id = instance.instance_id and (
                (cast(:speaking as bigint) = 1 and s.seen_at >= :silent_before) or (cast(:silent as bigint) = 1 and s.seen_at < :silent_before))))
    order by number limit :limit) i
left join last_seen l on l.instance_id = i.instance_id
order by i.number;

-- name: instances_now
-- types: seen_at int?, life_since int?
select i.*, l.seen_at,
    (select c.recorded_at from clock c where c.ledger_index <= i.ledger_index order by c.ledger_index desc limit 1)
        as recorded_at,
    (select c.recorded_at from clock c where c.ledger_index <= i.life_index order by c.ledger_index desc limit 1)
        as life_since
from (
    select number, facets, instance_id, account_id, region, cause, observed_at, ledger_index, life, life_index
    from instance
    where ledger_index >= 0 and number > :after and (cast(:cause as text) is null or cause = :cause)
        and ledger_index >= :first and ledger_index < :before
        and (cast(:ami as text) is null or image_id = :ami)
        and life in ('running', 'unknown') and (life = 'running' or exists (
        select 1 from last_seen s where s.instance_id = instance.instance_id and s.seen_at >= :silent_before))
    order by number limit :limit) i
left join last_seen l on l.instance_id = i.instance_id
order by i.number;

-- name: instances_state
-- types: seen_at int?, life_since int?
select i.*, l.seen_at,
    (select c.recorded_at from clock c where c.ledger_index <= i.ledger_index order by c.ledger_index desc limit 1)
        as recorded_at,
    (select c.recorded_at from clock c where c.ledger_index <= i.life_index order by c.ledger_index desc limit 1)
        as life_since
from (
    select number, facets, instance_id, account_id, region, cause, observed_at, ledger_index, life, life_index
    from instance
    where ledger_index >= 0 and number > :after and (cast(:cause as text) is null or cause = :cause)
        and ledger_index >= :first and ledger_index < :before
        and (cast(:ami as text) is null or image_id = :ami)
        and {life in texts lives} and (
        (cast(:every as bigint) = 1) or (cast(:never as bigint) = 1 and not exists (
            select 1 from last_seen s where s.instance_id = instance.instance_id)) or exists (
            select 1 from last_seen s where s.instance_id = instance.instance_id and (
                (cast(:speaking as bigint) = 1 and s.seen_at >= :silent_before) or (cast(:silent as bigint) = 1 and s.seen_at < :silent_before))))
    order by number limit :limit) i
left join last_seen l on l.instance_id = i.instance_id
order by i.number;

-- name: instances_with_facets_at
-- types: life str
select q.* from (
    select i.number, s.facets, i.instance_id, i.account_id, i.region, s.cause, s.observed_at, s.ledger_index,
        (select c.recorded_at from clock c where c.ledger_index <= s.ledger_index order by c.ledger_index desc limit 1)
            as recorded_at,
        coalesce((select h.life from life h where h.instance = i.number and h.ledger_index < :past
            order by h.ledger_index desc limit 1), 'unknown') as life
    from (select distinct instance from instance_facets where {facets in integers facets} and instance > :after) c
    join instance i on i.number = c.instance
    join statement s on s.instance = c.instance and (s.enrolment, s.sequence) = (
        select t.enrolment, t.sequence from statement t where t.instance = c.instance and t.ledger_index < :past
        order by t.enrolment desc, t.sequence desc limit 1)
    where {s.facets in integers facets} and (cast(:cause as text) is null or s.cause = :cause)
        and s.ledger_index >= :first and s.ledger_index < :before
        and (cast(:ami as text) is null or i.image_id = :ami)) q
where {q.life in texts lives} order by q.number limit :limit;

-- name: instances_at
-- types: life str
select q.* from (
    select i.number, s.facets, i.instance_id, i.account_id, i.region, s.cause, s.observed_at, s.ledger_index,
        (select c.recorded_at from clock c where c.ledger_index <= s.ledger_index order by c.ledger_index desc limit 1)
            as recorded_at,
        coalesce((select h.life from life h where h.instance = i.number and h.ledger_index < :past
            order by h.ledger_index desc limit 1), 'unknown') as life
    from instance i join statement s on s.instance = i.number and (s.enrolment, s.sequence) = (
        select t.enrolment, t.sequence from statement t where t.instance = i.number and t.ledger_index < :past
        order by t.enrolment desc, t.sequence desc limit 1)
    where i.number > :after and (cast(:cause as text) is null or s.cause = :cause)
        and s.ledger_index >= :first and s.ledger_index < :before
        and (cast(:ami as text) is null or i.image_id = :ami)) q
where {q.life in texts lives} order by q.number limit :limit;

-- name: instances_later
-- types: life str
select q.* from (
    select i.number, s.facets, i.instance_id, i.account_id, i.region, s.cause, s.observed_at, s.ledger_index,
        (select c.recorded_at from clock c where c.ledger_index <= s.ledger_index order by c.ledger_index desc limit 1)
            as recorded_at,
        coalesce((select h.life from life h where h.instance = i.number and h.ledger_index < :past
            order by h.ledger_index desc limit 1), 'unknown') as life
    from (
        select number from instance
        where first_index >= :past and first_index < :soon_past and earliest <= :at and number > :after
        union select number from instance
        where late_millis > 600000 and first_index >= :past and earliest <= :at and number > :after) c
    join instance i on i.number = c.number join statement s on s.instance = i.number and (s.enrolment, s.sequence) = (
        select t.enrolment, t.sequence from statement t
        join enrolment n on n.instance = t.instance and n.number = t.enrolment
        where t.instance = i.number and t.ledger_index < :known_past and t.observed_at <= :at and n.pending_at <= :at
        order by t.enrolment desc, t.sequence desc limit 1)
    where (cast(:cause as text) is null or s.cause = :cause)
        and s.ledger_index >= :first and s.ledger_index < :before
        and (cast(:ami as text) is null or i.image_id = :ami)) q
where {q.life in texts lives} order by q.number limit :limit;

-- name: instances_with_facets_later
-- types: life str
select q.* from (
    select i.number, s.facets, i.instance_id, i.account_id, i.region, s.cause, s.observed_at, s.ledger_index,
        (select c.recorded_at from clock c where c.ledger_index <= s.ledger_index order by c.ledger_index desc limit 1)
            as recorded_at,
        coalesce((select h.life from life h where h.instance = i.number and h.ledger_index < :past
            order by h.ledger_index desc limit 1), 'unknown') as life
    from (
        select number from instance
        where first_index >= :past and first_index < :soon_past and earliest <= :at and number > :after
        union select number from instance
        where late_millis > 600000 and first_index >= :past and earliest <= :at and number > :after) c
    join instance i on i.number = c.number join statement s on s.instance = i.number and (s.enrolment, s.sequence) = (
        select t.enrolment, t.sequence from statement t
        join enrolment n on n.instance = t.instance and n.number = t.enrolment
        where t.instance = i.number and t.ledger_index < :known_past and t.observed_at <= :at and n.pending_at <= :at
        order by t.enrolment desc, t.sequence desc limit 1)
    where {s.facets in integers facets} and (cast(:cause as text) is null or s.cause = :cause)
        and s.ledger_index >= :first and s.ledger_index < :before
        and (cast(:ami as text) is null or i.image_id = :ami)) q
where {q.life in texts lives} order by q.number limit :limit;

-- name: applications_at
select r.application_id, r.revision, r.recorded_at, r.recorded_by, r.body, r.ledger_index from application_revision r
where {r.application_id in texts application_ids} and r.revision = (
    select max(n.revision) from application_revision n
    where n.application_id = r.application_id and n.ledger_index < :past);

-- name: facts_at
select f.kind, f.subject, f.ledger_index, f.observed_at, f.outcome, f.value, f.reason from fact f
where f.kind = :kind and {f.subject in texts subjects} and f.ledger_index = (
    select max(n.ledger_index) from fact n
    where n.kind = f.kind and n.subject = f.subject and n.ledger_index < :past);

-- name: images_of_commit
-- types: first str, last str
select distinct image_digest from image_commit
where commit_id >= :first and commit_id < :last and ledger_index < :known_past order by image_digest limit :limit;

-- name: images_of_ticket
select distinct i.image_digest from commit_word w
join image_commit i on i.commit_id = w.commit_id and i.repository = w.repository
where w.word = :word and w.ledger_index < :known_past and i.ledger_index < :known_past order by i.image_digest limit :limit;

-- name: images_of_person
-- types: person str
select i.image_digest from commit_person p
join image_commit i on i.commit_id = p.commit_id and i.repository = p.repository
where p.person = :person and p.ledger_index < :known_past and i.ledger_index < :known_past
union select i.image_digest from review_name n
join image_commit i on i.commit_id = n.commit_id and i.repository = n.repository
where n.name = :person and n.ledger_index < :known_past and i.ledger_index < :known_past
union select m.digest from image_manifest m
where lower(m.pushed_by) = :person and m.image <> '' and m.ledger_index < :known_past
order by 1 limit :limit;

-- name: facets_of_approver
-- types: person str, mail str
select f.number from (
    select application_id, version from approval where lower(user_id) = :person and ledger_index < :past
    union select application_id, version from approval
    where ledger_index < :past and lower(emails) like :mail escape '!') a
join facets f on f.application_id = a.application_id and f.application_version = a.version
order by f.number limit :limit;

-- name: approved_by
-- types: person str, mail str
select application_id, version from approval
where {application_id in texts applications} and ledger_index < :past
    and (lower(user_id) = :person or lower(emails) like :mail escape '!');

-- name: pushed_by
-- types: person str
select distinct digest from image_manifest
where {digest in texts images} and lower(pushed_by) = :person and ledger_index < :known_past;

-- name: images_of_review
select distinct i.image_digest from review_name n
join image_commit i on i.commit_id = n.commit_id and i.repository = n.repository
where n.name = :name and n.ledger_index < :known_past and i.ledger_index < :known_past
order by i.image_digest limit :limit;

-- name: images_of_layer
select distinct image_digest from image_layer
where layer = :layer and ledger_index < :known_past order by image_digest limit :limit;

-- name: inventory_of
-- types: details str?
select v.account_id, v.region, v.instance_id, v.state, v.launched_at, v.user_data_digest, v.user_data_unread, v.ledger_index, v.asked_at, d.details
from inventory v left join inventory_detail d on d.instance_id = v.instance_id and d.ledger_index = v.ledger_index
where {v.instance_id in texts instance_ids};

-- name: inventory_at
-- types: details str?
select h.account_id, h.region, h.instance_id, h.state, h.launched_at, h.user_data_digest, h.user_data_unread, h.ledger_index, h.asked_at, d.details
from inventory_history h left join inventory_detail d on d.instance_id = h.instance_id and d.ledger_index = h.ledger_index
where {h.instance_id in texts instance_ids} and h.ledger_index = (
    select max(n.ledger_index) from inventory_history n where n.instance_id = h.instance_id and n.ledger_index < :past);

-- name: user_data_listed
select e.ledger_index, e.kind, e.base, e.body, b.body as base_body
from entry e left join entry b on b.ledger_index = e.base
where e.ledger_index = (
    select min(h.ledger_index) from inventory_history h
    where h.instance_id = :instance_id and h.user_data_digest = :user_data_digest and h.ledger_index < :past);

-- name: tag_digests
select reference, digest, said_by, ledger_index from tag_digest
where {reference in texts references} and ledger_index < :past order by reference, ledger_index;

-- name: image_jobs
select image, job, source_url, commit_id, pushed_at, ledger_index from image_job
where {image in texts images} and ledger_index < :past order by image;

-- name: applications_of_commits
select distinct f.application_id from image_commit c join facets f on f.image_digest = c.image_digest
where {c.commit_id in texts commits} and f.application_id <> '' order by f.application_id limit :limit;

-- name: commits_in_ranges
-- types: first str, last str
select distinct commit_id from range_commit
where commit_id >= :first and commit_id < :last and ledger_index < :known_past order by commit_id limit :limit;

-- name: commits_in_ranges_with_word
-- types: word str
select distinct w.commit_id from (
    select commit_id, repository from commit_word where word = :word and ledger_index < :known_past
    union select commit_id, repository from review_name where name = :word and ledger_index < :known_past) w
where exists (select 1 from range_commit r
    where r.commit_id = w.commit_id and r.repository = w.repository and r.ledger_index < :known_past)
order by w.commit_id limit :limit;

-- A tip contains the commits of its ranges, and what the tips among these contain.

-- name: images_containing
with recursive contains (commit_id, repository, tip) as (
    select r.commit_id, r.repository, r.tip from range_commit r
    where {r.commit_id in texts commits} and r.ledger_index < :known_past
    union
    select c.commit_id, c.repository, r.tip from contains c
    join range_commit r on r.commit_id = c.tip and r.repository = c.repository where r.ledger_index < :known_past)
select distinct c.commit_id, c.repository, c.tip, i.image_digest from contains c
join image_commit i on i.commit_id = c.tip and i.repository = c.repository
where i.ledger_index < :known_past order by c.repository, c.tip, c.commit_id, i.image_digest limit :limit;

-- name: ranges_waiting
-- types: n int
select count(*) as n from (select 1 from task where kind = 'commit-range' limit :limit) as waiting;

-- The newest statement of these combinations that was its instance's newest when it was recorded, and what replaced it.

-- name: last_ran
-- types: recorded_at int, replaced_at int?
select (select c.recorded_at from clock c where c.ledger_index <= l.ledger_index order by c.ledger_index desc limit 1)
        as recorded_at,
    (select c.recorded_at from clock c where c.ledger_index <= l.next_index order by c.ledger_index desc limit 1)
        as replaced_at
from (
    select s.ledger_index, (select min(n.ledger_index) from statement n
        where n.instance = s.instance and (n.enrolment, n.sequence) > (s.enrolment, s.sequence)) as next_index
    from (select distinct instance from instance_facets where {facets in integers facets}
        order by instance desc limit :limit) c
    join statement s on s.instance = c.instance
    where {s.facets in integers facets} and s.ledger_index < :past and s.cause in ('boot', 'change') and not exists (
        select 1 from statement o where o.instance = s.instance
            and (o.enrolment, o.sequence) > (s.enrolment, s.sequence) and o.ledger_index < s.ledger_index)
    order by s.ledger_index desc limit 1) l;

-- The newest start of each instance that an event of its own account states: one that was recorded by then comes before one
-- that was recorded later.

-- name: starts_of
-- types: past int, known_past int, at int
select instance_id, ledger_index, event_id, account_id, region, name, event_at, doer from (
    select e.instance_id, e.ledger_index, c.event_id, c.account_id, c.region, c.name, c.event_at, c.doer,
        row_number() over (partition by e.instance_id order by case when e.ledger_index < :past then 0 else 1 end,
            e.event_at desc, e.ledger_index desc) as place
    from cloud_event_instance e join instance i on i.instance_id = e.instance_id and i.account_id = e.account_id
    join cloud_event c on c.ledger_index = e.ledger_index
    where {e.instance_id in texts instance_ids} and e.name in ('RunInstances', 'StartInstances')
        and e.ledger_index < :known_past and e.event_at <= :at) as starts
where place = 1 order by instance_id;

-- Calls that made the keys, and those that made the keys with which they were made; of a call from another account, both
-- records of it.

-- name: role_sessions_of
-- types: keys str, known_past int, depth_max int
with recursive behind (ledger_index, event_id, account_id, access_key, caller_key, shared_id, role, event_at, doer, depth) as (
    select s.ledger_index, s.event_id, s.account_id, s.access_key, s.caller_key, s.shared_id, s.role, s.event_at, s.doer, 1
    from role_session s where s.access_key <> '' and {s.access_key in texts keys} and s.ledger_index < :known_past
    union
    select s.ledger_index, s.event_id, s.account_id, s.access_key, s.caller_key, s.shared_id, s.role, s.event_at, s.doer,
        b.depth + 1
    from behind b join role_session s on (s.access_key = b.caller_key and s.access_key <> '')
        or (s.shared_id = b.shared_id and s.shared_id <> '')
    where b.depth < :depth_max and s.ledger_index < :known_past)
select distinct ledger_index, event_id, account_id, access_key, shared_id, role, event_at, doer
from behind order by ledger_index limit :limit;

-- name: silences_of
-- types: at str
select s.ledger_index, s.at, s.verdict, s.silent_since from instance i join silence s on s.instance = i.number
where i.instance_id = :instance_id and s.ledger_index < :past order by s.ledger_index desc limit :limit;

-- What begins with some characters. Each step reads the next value of an index: a digest may be that of a hundred thousand
-- rows, which a distinct would read.

-- name: instances_beginning
-- types: first str, last str
select instance_id as value from instance where instance_id >= :first and instance_id < :last
order by instance_id limit :limit;

-- name: images_beginning
-- types: first str, last str, value str
with recursive found (value, place) as (
    select (select min(image_digest) from facets where image_digest >= :first and image_digest < :last), cast(1 as bigint)
    union all
    select (select min(image_digest) from facets where image_digest > found.value and image_digest < :last), found.place + 1
    from found where found.value is not null and found.place < cast(:limit as bigint))
select value from found where value is not null;

-- name: sidecars_beginning
-- types: first str, last str, value str
with recursive found (value, place) as (
    select (select min(image_digest) from facets_image where image_digest >= :first and image_digest < :last), cast(1 as bigint)
    union all
    select (select min(image_digest) from facets_image where image_digest > found.value and image_digest < :last), found.place + 1
    from found where found.value is not null and found.place < cast(:limit as bigint))
select value from found where value is not null;

-- name: pushed_beginning
-- types: first str, last str, value str
with recursive found (value, place) as (
    select (select min(digest) from image_manifest where digest >= :first and digest < :last), cast(1 as bigint)
    union all
    select (select min(digest) from image_manifest where digest > found.value and digest < :last), found.place + 1
    from found where found.value is not null and found.place < cast(:limit as bigint))
select value from found where value is not null;

-- name: layers_beginning
-- types: first str, last str, value str
with recursive found (value, place) as (
    select (select min(layer) from image_layer where layer >= :first and layer < :last), cast(1 as bigint)
    union all
    select (select min(layer) from image_layer where layer > found.value and layer < :last), found.place + 1
    from found where found.value is not null and found.place < cast(:limit as bigint))
select value from found where value is not null;

-- name: user_data_beginning
-- types: first str, last str, value str
with recursive found (value, place) as (
    select (select min(user_data_digest) from facets where user_data_digest >= :first and user_data_digest < :last), cast(1 as bigint)
    union all
    select (select min(user_data_digest) from facets where user_data_digest > found.value and user_data_digest < :last), found.place + 1
    from found where found.value is not null and found.place < cast(:limit as bigint))
select value from found where value is not null;
