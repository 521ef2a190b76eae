"""Static bearer tokens for small installations: a file with one line per token, which contains its hash.

`sha256:HEX NAME TEAMS [may=RIGHT[,RIGHT…]] [accounts=ID[,ID…]] [made=INSTANT] [until=INSTANT]`, where TEAMS is `-`
(reads only), `TEAM[,TEAM…]` (reads, and writes for these teams) or `*` (writes for every team, and has every right);
`may=user-data` grants reading of user data, `may=findings` recording findings of `accounts`, which may be `*`. Lines of
earlier versions have no dates: they keep their rights and never expire. A token has 32 random bytes, so its unsalted
SHA-256 cannot be reversed by a search. The file may therefore be readable by the service's user, even if systemd
allocates that dynamically.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from whence_aggregator.callers.caller import FINDINGS, PERSON, RIGHTS, Caller, Realm
from whence_common.clock import parse_instant, to_instant
from whence_common.errors import InputError

READ, EVERY_TEAM = "-", "*"
_INSTANT = r"[0-9TZ:.+-]{10,40}"
_LINE = re.compile(
    rf"(sha256:[0-9a-f]{{64}})\s+([A-Za-z0-9._@-]{{1,100}})\s+(\*|-|[A-Za-z0-9._-]+(?:,[A-Za-z0-9._-]+)*)"
    rf"(?:\s+may=([a-z-]+(?:,[a-z-]+)*))?(?:\s+accounts=(\*|[0-9]{{12}}(?:,[0-9]{{12}})*))?(?:\s+made=({_INSTANT}))?(?:\s+until=({_INSTANT}))?\Z"
)
_PROBLEMS_SHOWN_MAX = 10
RESERVED_NAMES = frozenset({"list", "revoke"})
"""Commands of `whence-aggregator token`."""


class TokensInvalid(InputError):
    """The tokens file, or a new token, is invalid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerToken:
    """A line of the tokens file. `made` and `until` are None in a line of an earlier version, which never expires."""

    hash: str
    caller: Caller
    made: datetime | None = None
    until: datetime | None = None

    @property
    def rights(self) -> str:
        """Return the rights for display."""
        teams = self.caller.teams
        if teams is None:
            return "admin"
        accounts = f" of {self._accounts}" if self.caller.accounts else ""
        may = "".join(f", {right}{accounts if right == FINDINGS else ''}" for right in sorted(self.caller.rights))
        return (f"write for {','.join(sorted(teams))}" if teams else "read") + may

    @property
    def _accounts(self) -> str:
        return ",".join(sorted(self.caller.accounts))

    def is_expired(self, now: datetime) -> bool:
        return self.until is not None and now >= self.until

    def to_line(self) -> str:
        teams = self.caller.teams
        shown = EVERY_TEAM if teams is None else ",".join(sorted(teams)) or READ
        may = f" may={','.join(sorted(self.caller.rights))}" if self.caller.rights else ""
        may += f" accounts={self._accounts}" if self.caller.accounts else ""
        made = f" made={to_instant(self.made)}" if self.made is not None else ""
        until = f" until={to_instant(self.until)}" if self.until is not None else ""
        return f"{self.hash} {self.caller.name} {shown}{may}{made}{until}"


def parse_tokens(text: str, *, name: str) -> Mapping[str, CallerToken]:
    """Parse a tokens file; return its tokens by hash. Raises TokensInvalid with the numbers of malformed lines."""
    tokens: dict[str, CallerToken] = {}
    wrong: list[int] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if is_comment(line):
            continue
        token = parse_line(line)
        if token is None:
            wrong.append(number)
        else:
            tokens[token.hash] = token
    if wrong:
        places = ", ".join(f"{name}:{number}" for number in wrong[:_PROBLEMS_SHOWN_MAX])
        more = f" and {len(wrong) - _PROBLEMS_SHOWN_MAX} more lines" if len(wrong) > _PROBLEMS_SHOWN_MAX else ""
        raise TokensInvalid(
            "tokens-line",
            f"{places}{more}: not of the form "
            "sha256:HEX NAME TEAMS "
            f"[may={','.join(sorted(RIGHTS))}] [accounts=ID[,ID…]] [made=INSTANT] [until=INSTANT]",
            fix="create lines with whence-aggregator token; TEAMS is - to read, TEAM[,TEAM] or * to write;"
            " accounts belongs to may=findings",
        )
    return tokens


def is_comment(line: str) -> bool:
    return not line.strip() or line.strip().startswith("#")


def parse_line(line: str) -> CallerToken | None:
    """Parse a line; return None if it is malformed."""
    match = _LINE.match(line.strip())
    rights = frozenset((match[4] or "").split(",")) - {""} if match is not None else frozenset[str]()
    if match is None or not rights <= RIGHTS or (FINDINGS in rights) != (match[5] is not None):
        return None
    try:
        made, until = (parse_instant(text) if text is not None else None for text in (match[6], match[7]))
    except ValueError:
        return None
    teams = None if match[3] == EVERY_TEAM else frozenset() if match[3] == READ else frozenset(match[3].split(","))
    accounts = frozenset((match[5] or "").split(",")) - {""}
    caller = Caller(name=match[2], teams=teams, rights=rights, realm=_realm(rights), accounts=accounts)
    return CallerToken(hash=match[1], caller=caller, made=made, until=until)


def new_token(
    name: str,
    teams: Iterable[str],
    *,
    admin: bool,
    made: datetime,
    until: datetime,
    rights: Iterable[str] = (),
    accounts: Iterable[str] = (),
) -> tuple[str, CallerToken]:
    """Create a token; return its text and its line of the file. Without teams and `admin` it may only read.

    Raises TokensInvalid.
    """
    text = secrets.token_urlsafe(32)
    wanted = frozenset(teams)
    if admin and wanted:
        raise TokensInvalid("tokens-rights", "--admin writes for every team: leave out --team", fix="use one of them")
    if name in RESERVED_NAMES:
        raise TokensInvalid("tokens-name", f"{name!r} is a command: choose another name for the token")
    if until <= made:
        raise TokensInvalid(
            "tokens-until", f"the token's expiry is in the past: {to_instant(until)}", fix="set a later time"
        )
    granted, bounds = frozenset(rights), frozenset(accounts)
    if (FINDINGS in granted) != bool(bounds):
        raise TokensInvalid(
            "tokens-accounts", "the right findings is bounded to accounts",
            fix="use --may findings with --account ID, once for each account, or --account '*'",
        )  # fmt: skip
    realm = _realm(granted)
    caller = Caller(name=name, teams=None if admin else wanted, rights=granted, realm=realm, accounts=bounds)
    token = CallerToken(hash=token_hash(text), caller=caller, made=made, until=until)
    if parse_line(token.to_line()) is None or wanted & {READ, EVERY_TEAM, ""} or any("," in team for team in wanted):
        raise TokensInvalid(
            "tokens-line",
            "a name may contain letters, digits, . _ @ and -; a team letters, digits, . _ and -, and may not be just -",
        )
    return text, token


def _realm(rights: frozenset[str]) -> Realm:
    return "people" if PERSON in rights else "unknown"


def token_hash(token: str) -> str:
    return "sha256:" + hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
