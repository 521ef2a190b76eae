#!/bin/sh
# Run PostgreSQL, or give the service's role its rights once the tables are there: database.sh serve | rights
# The cluster, the roles and the database are made at the first start. Passwords are in files, and in no argument.
set -eu
programs=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
home=/var/lib/whence-database/data

if [ "$1" = rights ]; then
    printf 'database:5432:whence:whence_owner:%s\n' "$(cat /run/secrets/database-owner.password)" >/tmp/passwords
    chmod 600 /tmp/passwords
    PGPASSFILE=/tmp/passwords exec psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --file=/whence/rights.sql \
        --host=database --username=whence_owner --dbname=whence
fi

if [ ! -d "$home" ]; then
    rm -rf "$home.new" # of a start that was interrupted
    "$programs/initdb" --pgdata="$home.new" --username=postgres --encoding=UTF8 --locale=C.UTF-8 --data-checksums \
        --auth-local=trust --auth-host=reject
    echo 'host whence whence,whence_owner samenet scram-sha-256' >>"$home.new/pg_hba.conf"
    # The local socket is reachable within this container only. A statement with a password is not logged if it fails.
    "$programs/pg_ctl" --pgdata="$home.new" --wait start \
        --options='-c listen_addresses= -c unix_socket_directories=/tmp -c log_min_error_statement=panic'
    psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --file=/whence/roles.sql --host=/tmp --username=postgres
    "$programs/pg_ctl" --pgdata="$home.new" --wait --mode=fast stop
    mv "$home.new" "$home"
fi
exec "$programs/postgres" -D "$home" -c listen_addresses='*' -c unix_socket_directories=/tmp -c jit=off
