-- Which secrets what is stored was made with: a digest under each secret, so that a lost or other one is told at the start.
create table secret_fingerprint (
    name text primary key,
    fingerprint text not null
);
