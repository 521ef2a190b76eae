-- Which AMI an instance was started from, as its identity document says. Rows of an earlier version have none: rebuild them.
alter table instance add column image_id text not null default '';
create index instance_ami on instance (image_id, number);
