"""The login at PostgreSQL: a DSN may name a file with the role's password, which is read for each new connection.

libpq's `passfile` is no replacement: it is ignored if its group may read it, as Kubernetes mounts secrets.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from whence_aggregator.ports import StorageUnavailable

PASSWORD_BYTES_MAX = 4096
_KEY = "password_file="


def login(dsn: str) -> tuple[str, dict[str, Any]]:
    """Return the DSN without `password_file`, and asyncpg's arguments. Raises StorageUnavailable or ValueError."""
    place, _, query = dsn.partition("?")
    options = query.split("&")
    named = [unquote(one.removeprefix(_KEY)) for one in options if one.startswith(_KEY)]
    if not named:
        return dsn, {}
    if len(named) > 1 or urlsplit(dsn).password is not None or any(one.startswith("password=") for one in options):
        raise _invalid("the DSN contains more than one password", "name the password, or one password_file")
    others = "&".join(one for one in options if not one.startswith(_KEY))
    return f"{place}?{others}" if others else place, {"password": _reader(Path(named[0]))}


def _reader(path: Path) -> Callable[[], str]:
    """Return what asyncpg calls for each new connection, so that a changed password needs no restart."""

    def read() -> str:
        with path.open("rb") as stream:
            content = stream.read(PASSWORD_BYTES_MAX + 1)
        try:
            password = content.decode("utf-8").removesuffix("\n")
        except UnicodeDecodeError:
            password = ""
        if not password or len(content) > PASSWORD_BYTES_MAX or any(one in password for one in "\r\n\0"):
            message = f"password_file {path} is not one line of at most {PASSWORD_BYTES_MAX} bytes of UTF-8"
            raise _invalid(message, "write the role's password, and nothing else, to the file")
        return password

    return read


def _invalid(message: str, fix: str) -> StorageUnavailable:
    return StorageUnavailable("storage-postgres", message, fix=fix, retryable=False)
