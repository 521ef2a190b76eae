-- What the running service never needs, as aggregator/README.md (PostgreSQL) has it; after each migration.
revoke delete on entry, tile, checkpoint from whence;
revoke insert, update, delete on migration from whence;
