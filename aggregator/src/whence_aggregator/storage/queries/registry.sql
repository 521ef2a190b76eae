-- The registry front.
-- types: limit int, after str

-- name: standing_of_key
-- types: listed_at int?, newest int
select i.instance_id, i.account_id, i.region, i.life, i.listed, v.listed_at, n.number as enrolment,
    (select max(m.number) from enrolment m where m.instance = i.number) as newest,
    (select c.recorded_at from clock c where c.ledger_index <= n.ledger_index order by c.ledger_index desc limit 1) as bound_at
from enrolment n join instance i on i.number = n.instance
left join listing v on v.account_id = i.account_id and v.region = i.region
where n.key_id = :key_id;

-- name: standing_of_instance
-- types: listed_at int?
select i.instance_id, i.account_id, i.region, i.life, i.listed, v.listed_at, n.number as enrolment, n.number as newest,
    (select c.recorded_at from clock c where c.ledger_index <= n.ledger_index order by c.ledger_index desc limit 1) as bound_at
from instance i join enrolment n on n.instance = i.number
    and n.number = (select max(m.number) from enrolment m where m.instance = i.number)
left join listing v on v.account_id = i.account_id and v.region = i.region
where i.instance_id = :instance_id;

-- name: add_manifest
insert into image_manifest (repository, digest, team, media_type, size, image, artifact_type, subject, child, annotations,
    pushed_at, pushed_by, ledger_index)
values (:repository, :digest, :team, :media_type, :size, :image, :artifact_type, :subject, :child, :annotations,
    :pushed_at, :pushed_by, :ledger_index)
on conflict do nothing;

-- name: add_blob
insert into image_blob (digest, size) values (:digest, :size) on conflict do nothing;

-- name: add_image_job
insert into image_job (image, job, source_url, commit_id, pushed_at, ledger_index)
values (:image, :job, :source_url, :commit_id, :pushed_at, :ledger_index) on conflict do nothing;

-- name: put_tag
insert into image_tag (repository, tag, digest, team, created_at, created_by, ledger_index)
values (:repository, :tag, :digest, :team, :created_at, :created_by, :ledger_index)
on conflict (repository, tag) do update set digest = excluded.digest, created_at = excluded.created_at,
    created_by = excluded.created_by, ledger_index = excluded.ledger_index;

-- name: remove_tag
delete from image_tag where repository = :repository and tag = :tag;

-- name: tags_of_digest
select tag from image_tag where repository = :repository and digest = :digest order by tag{binary} limit :limit;

-- name: tag_of
select tag, digest, created_at, created_by, ledger_index from image_tag where repository = :repository and tag = :tag;

-- Only tags of images: a signature pushed last is not a newer version. An artifact has neither an image nor a child.

-- name: newest_tag
select t.tag, t.digest, t.created_at, t.created_by, t.ledger_index
from image_tag t join image_manifest m on m.repository = t.repository and m.digest = t.digest
where t.repository = :repository and (m.image <> '' or m.child <> '')
order by t.created_at desc, t.ledger_index desc limit 1;

-- name: manifest_of
select repository, digest, media_type, size, image, artifact_type, subject, child, annotations, pushed_at, pushed_by,
    ledger_index
from image_manifest where repository = :repository and digest = :digest;

-- name: repository_known
-- types: known int
select 1 as known from image_manifest where repository = :repository limit 1;

-- name: tags_after
select tag from image_tag where repository = :repository and tag{binary} > :after order by tag{binary} limit :limit;

-- name: repositories_after
select repository from image_place where repository{binary} > :after order by repository{binary} limit :limit;

-- name: add_place
insert into image_place (repository) values (:repository) on conflict do nothing;

-- name: referrers_of
select digest, media_type, size, artifact_type, annotations from image_manifest
where repository = :repository and subject = :subject and subject <> '' and digest > :after
    and (cast(:artifact_type as text) is null or artifact_type = :artifact_type)
order by digest limit :limit;

-- name: teams_with_tags
select t.team from image_tag t join image_manifest m on m.repository = t.repository and m.digest = t.digest
where m.image <> '' or m.child <> '' group by t.team order by t.team{binary};

-- name: repositories_of_team
select t.repository from image_tag t join image_manifest m on m.repository = t.repository and m.digest = t.digest
where t.team = :team and (m.image <> '' or m.child <> '') group by t.repository order by t.repository{binary};

-- name: tags_by_age
select t.tag, t.digest, t.created_at, t.created_by, t.ledger_index, m.image, m.child, m.media_type, m.size
from image_tag t join image_manifest m on m.repository = t.repository and m.digest = t.digest
where t.repository = :repository and (m.image <> '' or m.child <> '')
order by t.created_at desc, t.ledger_index desc limit :limit;

-- name: tags_with_image
-- types: first str, past str
select distinct m.image, t.tag as name, t.team, t.repository
from image_manifest m join image_tag t on t.repository = m.repository and t.digest = m.digest
where m.image >= :first and m.image < :past order by m.image, t.repository, t.tag limit :limit;

-- name: count_team
-- types: artifacts int, tags int
select count(distinct t.repository) as artifacts, count(*) as tags
from image_tag t join image_manifest m on m.repository = t.repository and m.digest = t.digest
where t.team = :team and (m.image <> '' or m.child <> '');

-- name: count_teams
-- types: artifacts int, tags int
select t.team, count(distinct t.repository) as artifacts, count(*) as tags
from image_tag t join image_manifest m on m.repository = t.repository and m.digest = t.digest
where m.image <> '' or m.child <> '' group by t.team order by t.team{binary};

-- name: sum_blobs
-- types: blobs int, storage int?
select count(*) as blobs, cast(sum(size) as bigint) as storage from image_blob;

-- name: images_listed
-- types: after_repository str, after_tag str, text str?
select t.repository, t.tag, t.digest, t.team, t.created_at, t.created_by, t.ledger_index, m.media_type, m.child, m.size
from image_tag t join image_manifest m on m.repository = t.repository and m.digest = t.digest
where (t.repository{binary} > :after_repository or (t.repository = :after_repository and t.tag{binary} > :after_tag))
    and (cast(:team as text) is null or t.team = :team)
    and (cast(:repository as text) is null or t.repository = :repository)
    and (cast(:tag as text) is null or t.tag = :tag)
    and (cast(:digest as text) is null or t.digest = :digest or m.child = :digest)
    and (cast(:text as text) is null or t.repository like :text escape '!' or t.tag like :text escape '!')
    and (m.image <> '' or m.child <> '')
order by t.repository{binary}, t.tag{binary} limit :limit;
