-- The roles and the database, as aggregator/README.md (PostgreSQL) makes them.
\set owner `cat /run/secrets/database-owner.password`
\set service `cat /run/secrets/database.password`
create role whence_owner login password :'owner';
create role whence login connection limit 50 password :'service';
create database whence owner whence_owner encoding 'UTF8' template template0;
revoke connect, temporary on database whence from public;
grant connect on database whence to whence;
\connect whence
revoke create on schema public from public;
grant create on schema public to whence_owner;
alter default privileges for role whence_owner in schema public grant select, insert, update, delete on tables to whence;
