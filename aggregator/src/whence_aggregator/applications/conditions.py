"""Conditions of a write (RFC 9110, 13.1): entity tags of the revision that the caller has seen. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from whence_aggregator.ports import Conflict
from whence_common.errors import InputError

ANY = "*"
_TAGS_MAX = 20
_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e]{0,100})"\Z')


class PreconditionFailed(Conflict):
    """The application is not in the state that the condition names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """The conditions of one request; None: the header is absent. `*` stands for any revision."""

    match: frozenset[str] | None = None
    none_match: frozenset[str] | None = None

    @classmethod
    def parse(cls, match: str | None, none_match: str | None) -> Conditions:
        """Parse If-Match and If-None-Match. Raises InputError."""
        return cls(match=_tags(match, "If-Match", weak=False), none_match=_tags(none_match, "If-None-Match", weak=True))

    def check(self, revision: int) -> None:
        """Raise PreconditionFailed unless they hold for the newest revision; 0: there is no application."""
        now = f"is at revision {revision}" if revision else "does not exist"
        fix = "read it again, and repeat the change with If-Match and its ETag"
        if self.match is not None and not _holds(self.match, revision):
            raise PreconditionFailed("precondition-failed", f"If-Match does not hold: the application {now}", fix=fix)
        if self.none_match is not None and _holds(self.none_match, revision):
            raise PreconditionFailed("precondition-failed", f"If-None-Match does not hold: the application {now}")


UNCONDITIONAL = Conditions()


def entity_tag(revision: int) -> str:
    """Return the entity tag of a revision."""
    return f'"{revision}"'


def _holds(tags: frozenset[str], revision: int) -> bool:
    return revision > 0 and (ANY in tags or str(revision) in tags)


def _tags(header: str | None, name: str, *, weak: bool) -> frozenset[str] | None:
    """Return the tags of a header. Weak ones never match a write (strong comparison)."""
    if header is None:
        return None
    parts = [one.strip() for one in header.split(",")]
    if parts == [ANY]:
        return frozenset({ANY})
    found = [_TAG.match(one) for one in parts[: _TAGS_MAX + 1]]
    if len(parts) > _TAGS_MAX or not all(found):
        fix = 'send the ETag of a response, as in "7", or *'
        raise InputError("condition-malformed", f"{name} is not a list of at most {_TAGS_MAX} entity tags", fix=fix)
    return frozenset(one[2] for one in found if one is not None and (weak or one[1] is None))
