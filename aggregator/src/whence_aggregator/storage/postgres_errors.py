"""PostgreSQL's errors as messages for operators, with what to do. No message contains the DSN or a password."""

from __future__ import annotations

import ssl

import asyncpg

from whence_aggregator.ports import StorageUnavailable
from whence_common.errors import one_line

_CODE = "storage-postgres"
_CERTIFICATE = (
    "sslrootcert= must name the file of the authority that signed the server's certificate, and the host in the DSN "
    "must be one that the certificate names"
)
_KNOWN: tuple[tuple[tuple[type[BaseException], ...], str, str], ...] = (
    (
        (asyncpg.InvalidPasswordError,), "PostgreSQL refused the password of the role",
        "correct the password in WHENCE_DATABASE or its password_file, or set it anew: alter role NAME password '…'",
    ),
    (
        (asyncpg.InvalidAuthorizationSpecificationError,), "PostgreSQL does not let this role in from this address",
        "see pg_hba.conf: it needs a line for this role, database and address, hostssl with TLS; does the role exist?",
    ),
    (
        (asyncpg.TooManyConnectionsError,), "PostgreSQL has no connection left for this role, database or server",
        "lower database_connections_max, or raise max_connections, or the connection limit of the role; "
        "each process of each replica takes up to database_connections_max",
    ),
    (
        (asyncpg.InvalidCatalogNameError,), "PostgreSQL has no database of this name",
        "create it: create database NAME owner ROLE encoding 'UTF8' template template0",
    ),
    (
        (asyncpg.InsufficientPrivilegeError,), "PostgreSQL denies the role a right",
        "make the tables with `whence-aggregator migrate` as the role that owns the database, and grant what the "
        "README names; `whence-aggregator check` lists what is missing",
    ),
    (
        (asyncpg.ReadOnlySQLTransactionError,), "this PostgreSQL takes no writes: it is a standby or set to read only",
        "name the primary in the DSN: several hosts and target_session_attrs=read-write find it",
    ),
    ((asyncpg.DiskFullError,), "PostgreSQL's disk is full", "free space on the database's machine"),
    (
        (asyncpg.CannotConnectNowError, asyncpg.AdminShutdownError, asyncpg.CrashShutdownError),
        "PostgreSQL is starting or shutting down", "wait; see PostgreSQL's log when it does not come back",
    ),
    ((asyncpg.QueryCanceledError,), "PostgreSQL ended a statement", "see statement_timeout and PostgreSQL's log"),
    (
        (asyncpg.ClientConfigurationError,), "the DSN of PostgreSQL cannot be used",
        "it is postgresql://ROLE:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full&sslrootcert=FILE, with special "
        "characters of the password written as %XX",
    ),
    (
        (asyncpg.UndefinedObjectError,), "the DSN contains an option that PostgreSQL does not know",
        "correct its name: sslmode, sslrootcert, target_session_attrs; unknown options have no effect",
    ),
    ((ssl.SSLCertVerificationError,), "the certificate of PostgreSQL is not trusted", _CERTIFICATE),
    (
        (ssl.SSLError,), "TLS with PostgreSQL failed",
        "see ssl, ssl_cert_file and ssl_min_protocol_version in postgresql.conf, and sslmode in the DSN",
    ),
    (
        (ConnectionRefusedError,), "PostgreSQL does not answer: the connection is refused",
        "is it running, and do host and port in the DSN match listen_addresses and port in postgresql.conf?",
    ),
    (
        (FileNotFoundError, PermissionError), "a file or socket that the DSN of PostgreSQL names cannot be opened",
        "see password_file, sslrootcert, sslcert, sslkey and passfile in the DSN: this user must be able to read them",
    ),
    (
        (TimeoutError,), "PostgreSQL did not answer in time",
        "is the host in the DSN reachable (security group, firewall), and is the database overloaded?",
    ),
    ((OSError,), "PostgreSQL cannot be reached", "see host and port in the DSN, and name resolution on this machine"),
)  # fmt: skip


def unavailable(exc: BaseException) -> StorageUnavailable:
    """Return the error for an operator: PostgreSQL's message, and what to do."""
    if isinstance(exc, ConnectionError) and "SSL upgrade" in str(exc):  # the text of asyncpg's message
        fix = "set ssl, ssl_cert_file and ssl_key_file in postgresql.conf; sslmode in the DSN demands it"
        return StorageUnavailable(_CODE, "PostgreSQL does not accept TLS connections", fix=fix)
    for kinds, message, fix in _KNOWN:
        if isinstance(exc, kinds):
            return StorageUnavailable(_CODE, f"{message} ({_server_text(exc)})", fix=fix)
    if isinstance(exc, ValueError):  # asyncpg and urllib quote the DSN in these
        _, message, fix = next(one for one in _KNOWN if asyncpg.ClientConfigurationError in one[0])
        return StorageUnavailable(_CODE, message, fix=fix)
    fix = "see PostgreSQL's log and the connection settings"
    return StorageUnavailable(_CODE, f"PostgreSQL: {type(exc).__name__}", fix=fix)


def _server_text(exc: BaseException) -> str:
    """Return the server's own message, if the error is from the server; it names roles, databases and tables only."""
    state = getattr(exc, "sqlstate", None)
    if isinstance(exc, asyncpg.PostgresError) and state is not None:
        return one_line(f"SQLSTATE {state}: {exc.args[0] if exc.args else ''}", 200)
    if isinstance(exc, ssl.SSLCertVerificationError):
        return one_line(exc.verify_message or "verification failed", 200)
    if isinstance(exc, OSError) and not isinstance(exc, TimeoutError):
        named = f"{exc.filename}: " if isinstance(exc.filename, str) else ""
        return one_line(f"{named}{exc.strerror or exc}", 200)
    return type(exc).__name__
