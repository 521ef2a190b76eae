-- Every digest that runs is found, not the application's alone: other_digests has those of sidecars, and of the index
-- that an image was chosen from, in order, apart from each other by a space.
create table facets_next (
    number {key},
    account_id text not null,
    region text not null,
    application_id text not null,
    application_version text not null,
    user_data_digest text not null,
    image_digest text not null,
    other_digests text not null,
    unique (image_digest, application_id, application_version, user_data_digest, account_id, region, other_digests)
);
insert into facets_next
select number, account_id, region, application_id, application_version, user_data_digest, image_digest, '' from facets;
drop table facets;
alter table facets_next rename to facets;
create index facets_application on facets (application_id, application_version);
create index facets_user_data on facets (user_data_digest);
create index facets_account on facets (account_id, region);

create table facets_image (
    image_digest text not null,
    facets bigint not null,
    primary key (image_digest, facets)
){compact};
