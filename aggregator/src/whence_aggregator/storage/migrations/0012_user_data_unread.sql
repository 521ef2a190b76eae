-- Why the EC2 API's user data of an instance is not known; empty where it was read.
alter table inventory add column user_data_unread text not null default '';
