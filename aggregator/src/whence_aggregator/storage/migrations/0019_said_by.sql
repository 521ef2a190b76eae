-- Who said so: `front` for a push here, `registry` for what a registry answered, else the account of the instance. What one
-- account states is no evidence about another one's images. Earlier rows keep the account of the statement they came
-- from; what other accounts stated after it comes with `ledger rebuild`.
create table tag_digest_next (
    reference text not null,
    digest text not null,
    said_by text not null,
    ledger_index bigint not null,
    primary key (reference, digest, said_by)
);
insert into tag_digest_next
select t.reference, t.digest, coalesce(
    (select f.account_id from statement s join facets f on f.number = s.facets where s.ledger_index = t.ledger_index),
    (select 'front' from image_tag i where i.ledger_index = t.ledger_index),
    (select 'front' from image_manifest i where i.ledger_index = t.ledger_index),
    'registry'), t.ledger_index
from tag_digest t;
drop table tag_digest;
alter table tag_digest_next rename to tag_digest;

create table image_commit_next (
    commit_id text not null,
    image_digest text not null,
    repository text not null,
    said_by text not null,
    ledger_index bigint not null,
    primary key (commit_id, image_digest, repository, said_by)
);
insert into image_commit_next
select c.commit_id, c.image_digest, c.repository, coalesce(
    (select 'agent' from statement s where s.ledger_index = c.ledger_index), 'registry'), c.ledger_index
from image_commit c;
drop table image_commit;
alter table image_commit_next rename to image_commit;
create index image_commit_image on image_commit (image_digest);
