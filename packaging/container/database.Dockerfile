# PostgreSQL with a start that makes the roles of aggregator/README.md. BASE has PostgreSQL as Debian packages it.
ARG BASE
FROM ${BASE}
COPY database.sh roles.sql rights.sql /whence/
RUN ["useradd", "--uid", "65532", "--user-group", "--no-create-home", "--home-dir", "/tmp", "whence"]
RUN ["install", "--directory", "--owner=65532", "--group=65532", "--mode=700", "/var/lib/whence-database"]
USER 65532:65532
EXPOSE 5432
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 CMD ["pg_isready", "--quiet", "--host=127.0.0.1", "--username=whence", "--dbname=whence"]
ENTRYPOINT ["/bin/sh", "/whence/database.sh"]
CMD ["serve"]
