"""Static bearer tokens for small installations: a file with one line per token, which contains its hash.

`sha256:HEX NAME TEAMS [may=RIGHT[,RIGHT…]] [accounts=ID[,ID…]] [products=NAME[,NAME…]] [made=INSTANT]
[until=INSTANT]`, where TEAMS is `-`
(reads only), `TEAM[,TEAM…]` (reads, and writes for these teams) or `*` (writes for every team, and has every right);
`may=user-data` grants reading of user data, `may=findings` recording findings of `accounts`, which may be `*`,
by `products`; without them, by any. Lines of
earlier versions have no dates: they keep their rights and never expire. A token has 32 random bytes, so its unsalted
SHA-256 cannot be reversed by a search. The file may therefore be readable by the service's user, even if systemd
allocates that dynamically.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from whence_aggregator.callers.caller import FINDINGS, PERSON, RIGHTS, Caller, Realm
from whence_common.clock import parse_instant, to_instant
from whence_common.errors import InputError
from whence_common.identifiers import PRODUCT

READ, EVERY_TEAM = "-", "*"
_INSTANT = r"[0-9TZ:.+-]{10,40}"
_LINE = re.compile(
    rf"(sha256:[0-9a-f]{{64}})\s+([A-Za-z0-9._@-]{{1,100}})\s+(\*|-|[A-Za-z0-9._-]+(?:,[A-Za-z0-9._-]+)*)"
    rf"(?:\s+may=([a-z-]+(?:,[a-z-]+)*))?(?:\s+accounts=(\*|[0-9]{{12}}(?:,[0-9]{{12}})*))?"
    rf"(?:\s+products=([a-z0-9._,-]{{1,2000}}))?(?:\s+made=({_INSTANT}))?(?:\s+until=({_INSTANT}))?\Z"
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
        accounts += f" by {self._products}" if self.caller.products else ""
        may = "".join(f", {right}{accounts if right == FINDINGS else ''}" for right in sorted(self.caller.rights))
        return (f"write for {','.join(sorted(teams))}" if teams else "read") + may

    @property
    def _accounts(self) -> str:
        return ",".join(sorted(self.caller.accounts))

    @property
    def _products(self) -> str:
        """Return the products: in a line they bound every account."""
        return ",".join(sorted({product for _, product in self.caller.products}))

    def is_expired(self, now: datetime) -> bool:
        return self.until is not None and now >= self.until

    def to_line(self) -> str:
        teams = self.caller.teams
        shown = EVERY_TEAM if teams is None else ",".join(sorted(teams)) or READ
        may = f" may={','.join(sorted(self.caller.rights))}" if self.caller.rights else ""
        may += f" accounts={self._accounts}" if self.caller.accounts else ""
        may += f" products={self._products}" if self.caller.products else ""
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
            f"[may={','.join(sorted(RIGHTS))}] [accounts=ID[,ID…]] [products=NAME[,NAME…]] "
            "[made=INSTANT] [until=INSTANT]",
            fix="create lines with whence-aggregator token; TEAMS is - to read, TEAM[,TEAM] or * to write;"
            " accounts and products belong to may=findings",
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
    products = (match[6] or "").split(",") if match[6] is not None else []
    if (products and FINDINGS not in rights) or not all(map(PRODUCT.match, products)):
        return None
    try:
        made, until = (parse_instant(text) if text is not None else None for text in (match[7], match[8]))
    except ValueError:
        return None
    teams = None if match[3] == EVERY_TEAM else frozenset() if match[3] == READ else frozenset(match[3].split(","))
    accounts = frozenset((match[5] or "").split(",")) - {""}
    caller = Caller(
        name=match[2], teams=teams, rights=rights, realm=_realm(rights), accounts=accounts,
        products=frozenset(itertools.product(accounts, products)),
    )  # fmt: skip
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
    products: Iterable[str] = (),
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
    granted, bounds, scanners = frozenset(rights), frozenset(accounts), frozenset(products)
    if (FINDINGS in granted) != bool(bounds):
        raise TokensInvalid(
            "tokens-accounts", "the right findings is bounded to accounts",
            fix="use --may findings with --account ID, once for each account, or --account '*'",
        )  # fmt: skip
    _check_products(scanners, granted)
    caller = Caller(
        name=name, teams=None if admin else wanted, rights=granted, realm=_realm(granted), accounts=bounds,
        products=frozenset(itertools.product(bounds, scanners)),
    )  # fmt: skip
    token = CallerToken(hash=token_hash(text), caller=caller, made=made, until=until)
    if parse_line(token.to_line()) is None or wanted & {READ, EVERY_TEAM, ""} or any("," in team for team in wanted):
        raise TokensInvalid(
            "tokens-line",
            "a name may contain letters, digits, . _ @ and -; a team letters, digits, . _ and -, and may not be just -",
        )
    return text, token


def _check_products(products: Collection[str], rights: Collection[str]) -> None:
    """Raise TokensInvalid for products that are none, or that another right would have."""
    wrong = next((one for one in sorted(products) if not PRODUCT.match(one)), None)
    if wrong is not None:
        raise TokensInvalid(
            "tokens-products", f"{wrong!r} is not the name of a product",
            fix="write it in lower case, as whence findings list shows it",
        )  # fmt: skip
    if products and FINDINGS not in rights:
        raise TokensInvalid(
            "tokens-products", "products belong to the right findings",
            fix="use --product with --may findings --account ID",
        )  # fmt: skip


def _realm(rights: frozenset[str]) -> Realm:
    return "people" if PERSON in rights else "unknown"


def token_hash(token: str) -> str:
    return "sha256:" + hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
