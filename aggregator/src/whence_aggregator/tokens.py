"""Static bearer tokens for small installations: a file of hashes, one line a token.

`sha256:HEX NAME TEAM[,TEAM…] [may=RIGHT[,RIGHT…]]`. `*` as the teams means every team and every right; `may=user-data`
lets a caller read user data. A token is 32 random bytes, so a plain SHA-256 of it cannot be searched, and the file may
be read by the service's own user, whoever systemd makes that.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping

from whence_aggregator.applications.registry import RIGHTS, Caller
from whence_common.errors import InputError

_LINE = re.compile(
    r"(sha256:[0-9a-f]{64})\s+([A-Za-z0-9._@-]{1,100})\s+(\*|[A-Za-z0-9._-]+(?:,[A-Za-z0-9._-]+)*)"
    r"(?:\s+may=([a-z-]+(?:,[a-z-]+)*))?\Z"
)


class TokensInvalid(InputError):
    """The file of tokens cannot be used."""


def parse_tokens(text: str, *, name: str) -> Mapping[str, Caller]:
    """Give callers by token hash. Raises TokensInvalid naming the first line that cannot be read."""
    callers: dict[str, Caller] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.match(stripped)
        rights = frozenset((match[4] or "").split(",")) - {""} if match is not None else frozenset[str]()
        if match is None or not rights <= RIGHTS:
            form = f"sha256:HEX NAME TEAM[,TEAM] [may={','.join(sorted(RIGHTS))}]"
            raise TokensInvalid("tokens-line", f"{name}:{number}: not of the form {form}")
        teams = None if match[3] == "*" else frozenset(match[3].split(","))
        callers[match[1]] = Caller(name=match[2], teams=teams, rights=rights)
    return callers


def new_token(name: str, teams: Iterable[str], rights: Iterable[str] = ()) -> tuple[str, str]:
    """Make a token; give it and the line for the file."""
    token = secrets.token_urlsafe(32)
    may = ",".join(rights)
    line = f"{token_hash(token)} {name} {','.join(teams) or '*'}" + (f" may={may}" if may else "")
    if _LINE.match(line) is None:
        raise TokensInvalid("tokens-line", "names and teams are letters, digits, . _ and -")
    return token, line


def token_hash(token: str) -> str:
    return "sha256:" + hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
