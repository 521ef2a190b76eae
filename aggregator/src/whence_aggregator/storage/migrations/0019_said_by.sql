-- Who said so: `front` for a push here, `registry` for what a registry answered, else the account of the instance. What one
-- account states is no evidence about another one's images. Earlier rows keep who said so in the entry that they came
-- from; what others said after it comes with `ledger rebuild`.
create table tag_digest_next (
    reference text not null,
    digest text not null,
    said_by text not null,
    ledger_index bigint not null,
    primary key (reference, digest, said_by)
);
create index tag_digest_entry on tag_digest (ledger_index); -- statements are many, and have no index by entry
insert into tag_digest_next
select t.reference, t.digest, case when e.kind = 'push' then 'front' else 'registry' end, t.ledger_index
from tag_digest t join entry e on e.ledger_index = t.ledger_index
where e.kind <> 'statement';
insert into tag_digest_next
select t.reference, t.digest, f.account_id, t.ledger_index
from tag_digest t join statement s on s.ledger_index = t.ledger_index join facets f on f.number = s.facets;
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
select c.commit_id, c.image_digest, c.repository, case when e.kind = 'statement' then 'agent' else 'registry' end,
    c.ledger_index
from image_commit c join entry e on e.ledger_index = c.ledger_index;
drop table image_commit;
alter table image_commit_next rename to image_commit;
create index image_commit_image on image_commit (image_digest);
