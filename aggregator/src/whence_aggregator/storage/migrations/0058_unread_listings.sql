-- How many listings failed in succession; a denial counts as many as make a place unread. What rests on the inventory of an
-- unread account and region is unknown.
alter table listing add column failures bigint not null default 0;

-- Instances whose user data was not read, which every answer about compliance counts.
create index inventory_unread on inventory (account_id, region) where user_data_unread <> '';
