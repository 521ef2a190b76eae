"""Query parameters as fullstop. took them: unknown ones are ignored, lists have commas or repeat, empty is absent."""

from __future__ import annotations

import re

from aiohttp import web

from whence_aggregator.fullstop.listing import (
    BY_NUMBER,
    NUMBER_MAX,
    SIZE_DEFAULT,
    SIZE_MAX,
    SORTS_MAX,
    FullstopFilters,
    WantedPage,
    sort_property,
)
from whence_aggregator.http.parameters import instant
from whence_common.errors import InputError

LIST_MAX = 500
PAGE_MAX = 1_000_000
_VALUE_CHARACTERS_MAX = 300
_DIGITS = re.compile(r"[0-9]{1,19}\Z")


class LenientQuery:
    """The parameters of a request."""

    def __init__(self, request: web.Request) -> None:
        self._query = request.query

    def text(self, name: str) -> str | None:
        """Return the first value, or None if it is absent or empty. Raises InputError."""
        value = self._query.get(name) or None
        if value is not None and (len(value) > _VALUE_CHARACTERS_MAX or not value.isprintable()):
            what = f"{name} is longer than {_VALUE_CHARACTERS_MAX} characters or not printable"
            raise InputError("parameter-malformed", what)
        return value

    def texts(self, *names: str) -> list[str] | None:
        """Return the values of parameters of one meaning; None if there are none."""
        found = [
            part.strip() for name in names for value in self._query.getall(name, []) for part in value.split(",")
            if part.strip()
        ]  # fmt: skip
        if len(found) > LIST_MAX or any(len(one) > _VALUE_CHARACTERS_MAX for one in found):
            raise InputError("parameter-malformed", f"{names[0]} has more than {LIST_MAX} values, or too long ones")
        return list(dict.fromkeys(found)) or None

    def number(self, name: str, *, most: int = NUMBER_MAX) -> int | None:
        """Return a number from 0. Raises InputError."""
        value = self.text(name)
        if value is None:
            return None
        if not _DIGITS.match(value) or int(value) > most:
            raise InputError("parameter-malformed", f"{name} must be a number from 0 to {most}")
        return int(value)

    def flag(self, name: str) -> bool | None:
        value = self.text(name)
        if value is not None and value.lower() not in ("true", "false"):
            raise InputError("parameter-malformed", f"{name} must be true or false")
        return value.lower() == "true" if value is not None else None

    def instant(self, name: str) -> str:
        """Return a time, normalised; empty if it is absent."""
        value = self.text(name)
        return instant(value, name=name) if value is not None else ""

    def page(self) -> WantedPage:
        """Return the page. A size above the highest is that, as with fullstop."""
        size = self.number("size")
        if size == 0:
            raise InputError("parameter-malformed", "size must be at least 1")
        given = [one for one in self._query.getall("sort", []) if one]
        if len(given) > SORTS_MAX:
            raise InputError("parameter-malformed", f"sort is given more than {SORTS_MAX} times")
        return WantedPage(
            number=self.number("page", most=PAGE_MAX) or 0, size=min(size or SIZE_DEFAULT, SIZE_MAX),
            sort=[one for text in given for one in _sorts(text)] or BY_NUMBER,
        )  # fmt: skip

    def violations(self) -> FullstopFilters:
        """Return the filters of a list of violations."""
        return FullstopFilters(
            accounts=self.texts("accounts"),
            types=self.texts("types", "type"),
            applications=self.texts("application-ids"),
            versions=self.texts("application-version-ids"),
            severity=self.number("severity"),
            priority=self.number("priority"),
            audit_relevant=self.flag("audit-relevant"),
            since=self.instant("from"),
            until=self.instant("to"),
            last=self.number("last-violation") or 0,
            checked=self.flag("checked") or False,
            whitelisted=self.flag("whitelisted") or False,
        )

    def counts(self, *, account: str | None = None) -> FullstopFilters:
        """Return the filters of a count: of one account, with both ends of the period, or of several."""
        return FullstopFilters(
            accounts=[account] if account is not None else self.texts("accounts"),
            since=self.instant("from"),
            until=self.instant("to"),
            until_inclusive=account is not None,
            checked=self.flag("resolved") or False,
            whitelisted=self.flag("whitelisted") or False,
        )


def _sorts(text: str) -> list[tuple[str, bool]]:
    """Return what `property,property,direction` sorts by. Raises InputError."""
    parts = [part.strip() for part in text[:_VALUE_CHARACTERS_MAX].split(",") if part.strip()]
    ascending = True
    if parts and parts[-1].lower() in ("asc", "desc"):
        ascending = parts.pop().lower() == "asc"
    return [(sort_property(part), ascending) for part in parts[:SORTS_MAX]]
