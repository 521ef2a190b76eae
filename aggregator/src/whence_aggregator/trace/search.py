"""Searching instances: filters become combinations of facets first, and those lead to the instances.

Pages are in the order in which instances enrolled; the cursor is the number of the last one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from whence_aggregator.ledger.packing import EntryDamaged
from whence_aggregator.ports import Conflict, Database, Parameters, Row
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.moment import EVERY_ENTRY, NOW, Moment
from whence_aggregator.trace.owners import owned_by
from whence_aggregator.trace.state import NOW_ONLY, States
from whence_common.clock import from_millis, to_millis
from whence_common.errors import InputError

PAGE_MAX = 500
_IMAGES_MAX = 500
Facets = Mapping[str, str | None]
"""What is shown of a combination."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What instances are searched by; None means any. `commit` may be the beginning of an id."""

    image: str | None = None
    commit: str | None = None
    ticket: str | None = None
    application: str | None = None
    version: str | None = None
    account: str | None = None
    region: str | None = None
    user_data: str | None = None
    cause: str | None = None
    ami: str | None = None
    team: str | None = None
    """Who owns the application, as the application registry had it at the moment."""
    first: int = 0
    before: int = EVERY_ENTRY
    """The entries among which the statement that is shown must be: from `first` on, `before` excluded."""
    moment: Moment = NOW
    states: States = NOW_ONLY


_BRIEF_FACETS_MAX, _BRIEF_ROWS_MAX = 50, 100
"""A page of so many rows by their keys is read where the request is answered."""


class Search:
    """Finds instances."""

    def __init__(self, *, database: Database, listening: Listening) -> None:
        self._database = database
        self._listening = listening

    async def instances(self, wanted: Wanted, *, after: str, limit: int) -> tuple[list[dict[str, Any]], str | None]:
        """Give rows of instances after a cursor, and the cursor of the next page if there is one."""
        narrowed = {name: getattr(wanted, name) for name in ("cause", "ami", "first", "before")}
        page: dict[str, object] = {"after": _cursor(after), "limit": limit + 1, **narrowed}
        query = "instances"
        shown: dict[int, Facets] = {}
        facets = await self._narrowed(wanted, await self._facets(wanted, shown))
        if facets is not None:
            if not facets:
                return [], None
            page["facets"] = msgspec.json.encode(facets).decode()
            query += "_with_facets"
        brief = facets is not None and len(facets) <= _BRIEF_FACETS_MAX and limit <= _BRIEF_ROWS_MAX
        silent_before = to_millis(self._listening.silent_before)
        rows, late = await self._rows(query, page, wanted, silent_before, brief=brief)
        following = str(rows[limit - 1]["number"]) if len(rows) > limit else None
        await self._read_facets({row["facets"] for row in rows[:limit]}, shown)
        return [_shown(row, shown, wanted.moment, late, silent_before) for row in rows[:limit]], following

    async def _rows(
        self, query: str, page: Parameters, wanted: Wanted, silent_before: int, *, brief: bool
    ) -> tuple[Sequence[Row], frozenset[int]]:
        """Read a page's rows by number, and which of them are of statements that were recorded too late."""
        moment, states = wanted.moment, wanted.states
        if moment.is_now:
            page = {**page, "silent_before": silent_before}
            if not states.now:
                page = {**page, **states.to_query()}
            asked = (query + ("_now" if states.now else "_state"), page)
            return (await self._database.fetch_all([asked], brief=brief))[0], frozenset()
        if states.hearing:
            raise InputError(
                "parameter-malformed", "state: when agents were heard last is known of the present only",
                fix="leave at, known_at, speaking, silent and never out, or pass words of life only",
            )  # fmt: skip
        at = {**page, "lives": states.to_query()["lives"], "past": moment.past}
        bounds = {"known_past": moment.known_past, "soon_past": moment.soon_past, "at": moment.at_millis}
        later = {**at, **bounds}
        recorded, late = await self._database.fetch_all([(f"{query}_at", at), (f"{query}_later", later)], brief=brief)
        rows = sorted((*recorded, *late), key=lambda row: int(row["number"]))
        return rows, frozenset(row["number"] for row in late)

    async def _narrowed(self, wanted: Wanted, facets: list[int] | None) -> list[int] | None:
        """Keep the combinations of a team's applications, and those in which the AMI's instances are."""
        leading: list[list[int]] = [] if facets is None else [facets]
        if wanted.team is not None:
            owned = await owned_by(self._database, wanted.team, past=wanted.moment.past)
            asked = {"applications": msgspec.json.encode(owned).decode()}
            leading.append(_numbers(await self._database.fetch("facets_of_applications", asked)))
        if wanted.ami is not None:
            await check_amis(self._database)
            query = "facets_of_ami" if wanted.moment.is_now else "facets_of_ami_ever"
            leading.append(_numbers(await self._database.fetch(query, {"ami": wanted.ami})))
        if not leading:
            return None
        first, *others = leading
        kept = set(first).intersection(*others)
        return [number for number in first if number in kept]

    async def _facets(self, wanted: Wanted, shown: dict[int, Facets]) -> list[int] | None:
        """Give the combinations that match, and put into `shown` what was read of them; None: nothing narrows them."""
        parameters: dict[str, object] = {
            name: getattr(wanted, name) for name in ("application", "version", "account", "region", "user_data")
        }
        images = await self._images(wanted)
        if images is not None:
            return await self._facets_of_images(images, parameters, shown)
        if wanted.application is not None:
            query = "facets_of_application"
        elif wanted.user_data is not None:
            query = "facets_of_user_data"
        elif any(value is not None for value in parameters.values()):
            query = "facets_matching"
        else:
            return None
        return _numbers(await self._database.fetch(query, parameters))

    async def _facets_of_images(
        self, images: list[str], narrowed: dict[str, object], shown: dict[int, Facets]
    ) -> list[int]:
        """Read few where the request is answered, when the index alone leads to them; else all."""
        wanted = {"images": msgspec.json.encode(images).decode()}
        if any(value is not None for value in narrowed.values()):
            return _numbers(await self._database.fetch("facets_of_images_matching", {**wanted, **narrowed}))
        if len(images) <= _BRIEF_FACETS_MAX:
            few = {**wanted, "limit": _BRIEF_FACETS_MAX + 1}
            rows = (await self._database.fetch_all([("few_facets_of_images", few)], brief=True))[0]
            if len(rows) <= _BRIEF_FACETS_MAX:
                shown.update(map(_shown_facets, rows))
                return list(shown)
        return _numbers(await self._database.fetch("facets_of_images", wanted))

    async def _read_facets(self, numbers: set[int], shown: dict[int, Facets]) -> None:
        """Have what is shown of these combinations. Raises EntryDamaged when one is not there: none is ever removed."""
        missing = numbers - shown.keys()
        if missing:
            asked = ("facets_numbered", {"numbers": msgspec.json.encode(sorted(missing)).decode()})
            rows = (await self._database.fetch_all([asked], brief=len(missing) <= _BRIEF_FACETS_MAX))[0]
            shown.update(map(_shown_facets, rows))
            if not numbers <= shown.keys():
                raise EntryDamaged("what an instance is searched by is missing")

    async def _images(self, wanted: Wanted) -> list[str] | None:
        """Give the images meant by image, commit and ticket together."""
        meant: list[set[str]] = []
        known = {"known_past": wanted.moment.known_past}
        parameters: dict[str, object]
        if wanted.image is not None:
            meant.append({wanted.image})
        if wanted.commit is not None:
            last = wanted.commit + "g"  # sorts after every hex digit, in any collation
            parameters = {"first": wanted.commit, "last": last, **known, "limit": _IMAGES_MAX}
            meant.append(_digests(await self._database.fetch("images_of_commit", parameters)))
        if wanted.ticket is not None:
            parameters = {"word": wanted.ticket, **known, "limit": _IMAGES_MAX}
            rows = await self._database.fetch("images_of_ticket", parameters)
            meant.append(_digests(rows))
        return sorted(set.intersection(*meant)) if meant else None


async def check_amis(database: Database) -> None:
    """Raise Conflict where instances have no AMI in their rows: a search by AMI would not find them."""
    if await database.fetch("ami_missing", {}):
        message = "instances that enrolled under an earlier version cannot be found by AMI yet"
        raise Conflict("ami-not-derived", message, fix="run whence-aggregator ledger rebuild")


def _numbers(rows: Sequence[Row]) -> list[int]:
    """Give each combination once, also where several of the images are in it."""
    return list(dict.fromkeys(row["number"] for row in rows))


def _digests(rows: Sequence[Row]) -> set[str]:
    return {row["image_digest"] for row in rows}


def _cursor(text: str) -> int:
    if not text:
        return 0
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise InputError("parameter-malformed", "invalid cursor", fix="pass `next` of the previous page")
    return int(text)


def _shown_facets(row: Row) -> tuple[int, Facets]:
    names = ("application_id", "application_version", "user_data_digest", "image_digest")
    return row["number"], {name: row[name] or None for name in names}


def _shown(
    row: Row, facets: Mapping[int, Facets], moment: Moment, late: frozenset[int], silent_before: int
) -> dict[str, Any]:
    """Return an instance of a list. When it was heard of last is known of the present only."""
    shown: dict[str, Any] = {
        "instance_id": row["instance_id"],
        "account_id": row["account_id"],
        "region": row["region"],
        "cause": row["cause"],
        "observed_at": from_millis(row["observed_at"]),
        "recorded_at": from_millis(row["recorded_at"]),
        "recorded_by_then": row["number"] not in late,
        "ledger_index": row["ledger_index"],
        "life": row["life"],
    }
    if moment.is_now:
        seen_at, since = row["seen_at"], row["life_since"]
        shown["life_since"] = from_millis(since) if since is not None else None
        shown["heard"] = "never" if seen_at is None else "silent" if seen_at < silent_before else "speaking"
        shown["seen_at"] = from_millis(seen_at) if seen_at is not None else None
    return {**shown, **facets[row["facets"]]}
