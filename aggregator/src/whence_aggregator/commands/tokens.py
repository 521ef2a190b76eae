"""whence-aggregator token: create, list and revoke tokens. A token is printed once; its hash is not printed."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from whence_aggregator.callers.caller import RIGHTS
from whence_aggregator.callers.rows import uses
from whence_aggregator.callers.tokens import TokensInvalid, is_comment, new_token, parse_line, parse_tokens
from whence_aggregator.queries.callers import TOKEN_USES
from whence_aggregator.settings.server import Settings
from whence_aggregator.wiring.parts import open_database
from whence_common.clock import parse_instant, to_instant
from whence_common.errors import WhenceError, one_line

DAYS = 365
DAYS_MAX = 3650
_UNKNOWN = "-"


def add_arguments(parser: ArgumentParser, *, config: str) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "words", nargs="+", metavar="NAME | list | revoke NAME",
        help="NAME: create a token for NAME; list: list the tokens; revoke NAME: revoke the tokens of NAME",
    )  # fmt: skip
    parser.add_argument("--team", action="append", default=[], help="team to write for; without a team, read only")
    parser.add_argument("--may", action="append", default=[], choices=sorted(RIGHTS), help="an additional right")
    parser.add_argument(
        "--account", action="append", default=[], help="account that --may findings is bounded to; '*' for all"
    )
    parser.add_argument(
        "--product", action="append", default=[],
        help="scanner that --may findings is bounded to, as whence findings list shows it (default: any)",
    )  # fmt: skip
    parser.add_argument("--admin", action="store_true", help="write for every team, with every right")
    expiry = parser.add_mutually_exclusive_group()
    expiry.add_argument("--days", type=int, help=f"days until it expires (default: {DAYS}, at most {DAYS_MAX})")
    expiry.add_argument("--until", help="expiry, such as 2027-01-31 (end of the day, UTC) or 2027-01-31T12:00:00Z")
    parser.add_argument("--made", help="revoke only the token with this time in list (- for one without a time)")
    parser.add_argument("--file", help="tokens_file (default: that of the settings, or /etc/whence/tokens)")
    parser.add_argument(
        "--config", default=config, help="settings, for tokens_file and database (default: %(default)s)"
    )


def run(arguments: Namespace, settings: Settings | None, *, database_location: str | None, now: datetime) -> int:
    """Run the subcommand; return 0 on success, 1 on failure, 2 for invalid arguments."""
    path = Path(arguments.file or (settings.tokens_file if settings is not None else "/etc/whence/tokens"))
    try:
        match arguments.words:
            case ["list"]:
                location = database_location or (settings.database if settings is not None else None)
                return _list(path, location, now)
            case ["revoke", name]:
                return _revoke(path, name, arguments.made)
            case [name]:
                return _make(path, name, arguments, now)
        print("whence-aggregator: invalid arguments: use token NAME, token list, or token revoke NAME", file=sys.stderr)
        return 2
    except (OSError, UnicodeDecodeError, TokensInvalid) as exc:
        print(f"whence-aggregator: {_message_of(exc, path)}", file=sys.stderr)
        return 1


def _make(path: Path, name: str, arguments: Namespace, now: datetime) -> int:
    until = _until(arguments, now)
    text, token = new_token(
        name, arguments.team, admin=arguments.admin, made=now, until=until, rights=arguments.may,
        accounts=arguments.account, products=arguments.product,
    )  # fmt: skip
    with _locked(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        with os.fdopen(descriptor, "r+b") as stream:
            size = os.fstat(descriptor).st_size
            if size == 0:
                os.fchmod(descriptor, 0o644)  # independent of the umask; an existing file keeps its mode
            unended = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            stream.write(b"\n" * unended + token.to_line().encode("ascii") + b"\n")
    print(text)
    about = f"hash added to {path}: {token.rights}, until {to_instant(until)}; a running aggregator reads it in seconds"
    print(f"whence-aggregator: {about}", file=sys.stderr)
    return 0


def _until(arguments: Namespace, now: datetime) -> datetime:
    """Return when the token expires. Raises TokensInvalid."""
    if arguments.until is None:
        days = DAYS if arguments.days is None else arguments.days
        if not 1 <= days <= DAYS_MAX:
            raise TokensInvalid("tokens-days", f"--days must be from 1 to {DAYS_MAX}")
        return now + timedelta(days=days)
    try:
        if len(arguments.until) == len("2027-01-31"):
            until = datetime.combine(date.fromisoformat(arguments.until), time.max, tzinfo=UTC)
        else:
            until = parse_instant(arguments.until)
    except ValueError as exc:
        fix = "write it like 2027-01-31 or 2027-01-31T12:00:00Z"
        raise TokensInvalid("tokens-until", f"--until {one_line(arguments.until, 60)!r}: {exc}", fix=fix) from exc
    if until > now + timedelta(days=DAYS_MAX):
        raise TokensInvalid("tokens-until", f"--until must be within {DAYS_MAX} days")
    return until


def _revoke(path: Path, name: str, made: str | None) -> int:
    with _locked(path):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not _is_of(line, name, made)]
        gone = len(lines) - len(kept)
        if gone:
            _replace(path, "".join(kept))
    if not gone:
        which = f" made {made}" if made is not None else ""
        print(f"whence-aggregator: not found: a token of {one_line(name, 100)}{which} in {path}; nothing was revoked: "
              "see whence-aggregator token list", file=sys.stderr)  # fmt: skip
        return 1
    print(f"{gone} {'token' if gone == 1 else 'tokens'} of {name} revoked")
    parse_tokens("".join(kept), name=str(path))  # raises: with an invalid line, a running aggregator keeps the old file
    print("whence-aggregator: a running aggregator refuses revoked tokens in seconds", file=sys.stderr)
    return 0


def _is_of(line: str, name: str, made: str | None) -> bool:
    token = None if is_comment(line) else parse_line(line)
    return token is not None and token.caller.name == name and made in (None, _shown(token.made))


def _replace(path: Path, text: str) -> None:
    """Replace a file atomically, with its present mode and owner."""
    before = path.stat()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fchmod(descriptor, before.st_mode & 0o777)
            if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(descriptor, before.st_uid, before.st_gid)
            os.fsync(descriptor)
        temporary.replace(path.resolve())
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lock the file against other commands: revoking replaces it, and would lose a token that is added meanwhile."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _list(path: Path, location: str | None, now: datetime) -> int:
    tokens = parse_tokens(path.read_text(encoding="utf-8"), name=str(path))
    uses, why = _uses(location)
    rows = [("NAME", "RIGHTS", "MADE", "EXPIRES", "LAST USED")]
    for token in sorted(tokens.values(), key=lambda one: (one.caller.name, _shown(one.made))):
        expires = f"{_shown(token.until)}{' (expired)' if token.is_expired(now) else ''}" if token.until else "never"
        used = uses.get(token.hash, "never") if not why else "unknown"
        rows.append((token.caller.name, token.rights, _shown(token.made), expires, used))
    for line in _table(rows):
        print(line)
    if why:
        print(f"whence-aggregator: the last use of tokens is unknown: {why}", file=sys.stderr)
    return 0


def _uses(location: str | None) -> tuple[Mapping[str, str], str]:
    """Return the last use of tokens by their hashes, or why it is unknown. Does not create a database."""
    if location is None:
        return {}, "there are no settings: pass them with --config"
    file = "/" + location.removeprefix("sqlite://").lstrip("/")
    if location.startswith("sqlite://") and not Path(file).exists():
        return {}, f"the database {file} does not exist"
    try:
        return asyncio.run(_read_uses(location)), ""
    except WhenceError as exc:
        return {}, exc.diagnostics()


async def _read_uses(location: str) -> Mapping[str, str]:
    database = await open_database(location, "read")
    try:
        return uses(await database.fetch(TOKEN_USES.bind({})))
    finally:
        await database.close()


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _shown(moment: datetime | None) -> str:
    return to_instant(moment) if moment is not None else _UNKNOWN


def _message_of(exc: Exception, path: Path) -> str:
    if isinstance(exc, WhenceError):
        return exc.diagnostics()
    if isinstance(exc, UnicodeDecodeError):
        return f"{path} is not UTF-8 at byte {exc.start}"
    return f"{path}: {exc.strerror}" if isinstance(exc, OSError) and exc.strerror else str(exc)
