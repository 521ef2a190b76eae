"""Search for instances: filters select combinations of facets, and these select the instances.

Pages are in the order in which instances enrolled; the cursor is the number of the last one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from whence_aggregator.ledger.packing import EntryDamaged
from whence_aggregator.ports import Conflict, Database
from whence_aggregator.queries.query import EVERY_ENTRY, array, together
from whence_aggregator.queries.trace import (
    AMI_MISSING,
    APPROVED_BY,
    FACETS_MATCHING,
    FACETS_NUMBERED,
    FACETS_OF_AMI,
    FACETS_OF_AMI_EVER,
    FACETS_OF_APPLICATION,
    FACETS_OF_APPLICATIONS,
    FACETS_OF_APPROVER,
    FACETS_OF_IMAGES,
    FACETS_OF_IMAGES_MATCHING,
    FACETS_OF_USER_DATA,
    FEW_FACETS_OF_IMAGES,
    IMAGES_OF_COMMIT,
    IMAGES_OF_LAYER,
    IMAGES_OF_PERSON,
    IMAGES_OF_REVIEW,
    IMAGES_OF_TICKET,
    LAST_RAN,
    PUSHED_BY,
    FacetsMatchingParameters,
)
from whence_aggregator.trace.found_rows import (
    Facets,
    Found,
    InstancePage,
    ask_now,
    ask_then,
    deeds,
    digests,
    found_now,
    found_then,
    last_ran_at,
    numbers,
    shown_facets,
)
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.moment import NOW, Moment
from whence_aggregator.trace.named_by import Deeds
from whence_aggregator.trace.owners import owned_as_written, owned_by
from whence_aggregator.trace.review_names import words_of_review
from whence_aggregator.trace.state import NOW_ONLY, States
from whence_common.clock import to_millis
from whence_common.errors import InputError

PAGE_MAX = 500
_IMAGES_MAX = 500
_FACETS_OF_APPROVER_MAX = 2_000
_LAST_INSTANCES_MAX = 500
"""The newest instances that ever ran something, to find when that was last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The filters of a search for instances; None means any. `commit` may be a prefix."""

    image: str | None = None
    commit: str | None = None
    ticket: str | None = None
    review: str | None = None
    layer: str | None = None
    person: str | None = None
    """In lower case: the e-mail address of an author or committer of the commit or of an approver, or the login of an
    author or reviewer of a review, of an approver, or of who pushed the image."""
    application: str | None = None
    version: str | None = None
    account: str | None = None
    region: str | None = None
    user_data: str | None = None
    cause: str | None = None
    ami: str | None = None
    team: str | None = None
    """The team that owns the application, by the application registry at the moment."""
    team_as_written: bool = False
    """Only applications with this very name of the team count, not with others that lead to it: for callers that may
    read resources of no other team."""
    only_teams: frozenset[str] | None = None
    """Only applications of one of these very teams count, whatever else is asked for; None for those of all."""
    images_containing: tuple[str, ...] = ()
    """Images that match a commit, ticket or review beside those that were built from such a commit."""
    first: int = 0
    before: int = EVERY_ENTRY
    """The shown statement's entry must be in [first, before)."""
    moment: Moment = NOW
    states: States = NOW_ONLY


_BRIEF_FACETS_MAX, _BRIEF_ROWS_MAX = 50, 100
"""A page of at most this many rows, read by key, is read on the event loop."""


class Search:
    """Finds instances."""

    def __init__(self, *, database: Database, listening: Listening) -> None:
        self._database = database
        self._listening = listening

    async def instances(self, wanted: Wanted, *, after: str, limit: int) -> tuple[list[dict[str, Any]], str | None]:
        """Return instances after a cursor, and the cursor of the next page if there is one."""
        page: InstancePage = {
            "after": page_cursor(after), "cause": wanted.cause, "first": wanted.first, "before": wanted.before,
            "ami": wanted.ami, "limit": limit + 1,
        }  # fmt: skip
        shown: dict[int, Facets] = {}
        facets = await self._narrowed(wanted, await self._facets(wanted, shown))
        if facets is not None and not facets:
            return [], None
        brief = facets is not None and len(facets) <= _BRIEF_FACETS_MAX and limit <= _BRIEF_ROWS_MAX
        found = await self._found(page, array(facets) if facets is not None else None, wanted, brief=brief)
        following = str(found[limit - 1].number) if len(found) > limit else None
        return await self.with_facets(found[:limit], shown), following

    async def with_facets(self, found: Sequence[Found], shown: dict[int, Facets] | None = None) -> list[dict[str, Any]]:
        """Return instances as lists show them; `shown` has the columns of combinations that were read already."""
        shown = {} if shown is None else shown
        await self._read_facets({one.facets for one in found}, shown)
        return [{**one.shown, **shown[one.facets]} for one in found]

    async def _found(self, page: InstancePage, facets: str | None, wanted: Wanted, *, brief: bool) -> list[Found]:
        """Return a page of instances, by number. Raises InputError for a past moment with a filter by `heard`."""
        moment, states = wanted.moment, wanted.states
        if moment.is_now:
            silent_before = to_millis(self._listening.silent_before)
            asked = ask_now(page, facets, states, silent_before)
            (rows,) = await self._database.fetch_all(together(asked), brief=brief)
            return [found_now(row, silent_before) for row in rows]
        if states.hearing:
            raise InputError(
                "parameter-malformed", "state: speaking, silent and never are known only of the present",
                fix="omit at and known_at, or pass only words of life",
            )  # fmt: skip
        return found_then(*await self._database.fetch_all(ask_then(page, facets, states, moment), brief=brief))

    async def _narrowed(self, wanted: Wanted, facets: list[int] | None) -> list[int] | None:
        """Return the combinations that also match the team's applications and the AMI's instances."""
        leading: list[list[int]] = [] if facets is None else [facets]
        if wanted.team is not None:
            owned = await owned_by(
                self._database, wanted.team, as_written=wanted.team_as_written, past=wanted.moment.past
            )
            asked = FACETS_OF_APPLICATIONS.bind({"applications": array(owned)})
            leading.append(numbers(await self._database.fetch(asked)))
        if wanted.only_teams is not None:
            theirs = await owned_as_written(self._database, wanted.only_teams, past=wanted.moment.past)
            asked = FACETS_OF_APPLICATIONS.bind({"applications": array(theirs)})
            leading.append(numbers(await self._database.fetch(asked)))
        if wanted.ami is not None:
            await check_amis(self._database)
            query = FACETS_OF_AMI if wanted.moment.is_now else FACETS_OF_AMI_EVER
            leading.append(numbers(await self._database.fetch(query.bind({"ami": wanted.ami}))))
        if not leading:
            return None
        first, *others = leading
        kept = set(first).intersection(*others)
        return [number for number in first if number in kept]

    async def _facets(self, wanted: Wanted, shown: dict[int, Facets]) -> list[int] | None:
        """Return the combinations that match, and add their columns to `shown`; None when there is no filter."""
        filters: FacetsMatchingParameters = {
            "application": wanted.application, "version": wanted.version, "account": wanted.account,
            "region": wanted.region, "user_data": wanted.user_data,
        }  # fmt: skip
        images = await self._images(wanted)
        if images is not None:
            found = await self._facets_of_images(images, filters, shown)
            if wanted.person is None:
                return found
            return sorted({*found, *await self._approved_by(wanted.person, wanted.moment)})
        if wanted.application is not None:
            asked = FACETS_OF_APPLICATION.bind({**filters, "application": wanted.application})
        elif wanted.user_data is not None:
            asked = FACETS_OF_USER_DATA.bind(
                {"version": wanted.version, "account": wanted.account, "region": wanted.region,
                 "user_data": wanted.user_data}
            )  # fmt: skip
        elif any(value is not None for value in filters.values()):
            asked = FACETS_MATCHING.bind(filters)
        else:
            return None
        return numbers(await self._database.fetch(asked))

    async def _facets_of_images(
        self, images: list[str], filters: FacetsMatchingParameters, shown: dict[int, Facets]
    ) -> list[int]:
        """Return the combinations of images that match; few of them are read on the event loop, by the index alone."""
        wanted = array(images)
        if any(value is not None for value in filters.values()):
            return numbers(await self._database.fetch(FACETS_OF_IMAGES_MATCHING.bind({**filters, "images": wanted})))
        if len(images) <= _BRIEF_FACETS_MAX:
            few = FEW_FACETS_OF_IMAGES.bind({"images": wanted, "limit": _BRIEF_FACETS_MAX + 1})
            (rows,) = await self._database.fetch_all(together(few), brief=True)
            if len(rows) <= _BRIEF_FACETS_MAX:
                shown.update(map(shown_facets, rows))
                return list(shown)
        return numbers(await self._database.fetch(FACETS_OF_IMAGES.bind({"images": wanted})))

    async def _approved_by(self, person: str, moment: Moment) -> list[int]:
        """Return the combinations with a version that the person approved."""
        asked = FACETS_OF_APPROVER.bind(
            {"person": person, "mail": _mail_pattern(person), "past": moment.past, "limit": _FACETS_OF_APPROVER_MAX}
        )
        return numbers(await self._database.fetch(asked))

    async def deeds_of(
        self, person: str, *, images: Collection[str], applications: Collection[str], moment: Moment
    ) -> Deeds:
        """Return which of the images a person pushed to the registry front, and which versions they approved."""
        approved = APPROVED_BY.bind(
            {"person": person, "mail": _mail_pattern(person), "past": moment.past,
             "applications": array(sorted(applications))}
        )  # fmt: skip
        pushed = PUSHED_BY.bind({"person": person, "images": array(sorted(images)), "known_past": moment.known_past})
        versions, digests_pushed = await self._database.fetch_all(together(approved, pushed))
        return deeds(versions, digests_pushed)

    async def last_ran(self, wanted: Wanted) -> str | None:
        """Return the last time at which an instance stated what matches; None if none ever did."""
        facets = await self._facets(wanted, {}) or []
        asked = LAST_RAN.bind({"facets": array(facets), "past": wanted.moment.past, "limit": _LAST_INSTANCES_MAX})
        return last_ran_at(await self._database.fetch(asked))

    async def _read_facets(self, wanted: set[int], shown: dict[int, Facets]) -> None:
        """Add the columns of combinations to `shown`. Raises EntryDamaged when one is missing: none is ever removed."""
        missing = wanted - shown.keys()
        if missing:
            asked = FACETS_NUMBERED.bind({"numbers": array(sorted(missing))})
            (rows,) = await self._database.fetch_all(together(asked), brief=len(missing) <= _BRIEF_FACETS_MAX)
            shown.update(map(shown_facets, rows))
            if not wanted <= shown.keys():
                raise EntryDamaged("a combination of facets of an instance is missing")

    async def _images(self, wanted: Wanted) -> list[str] | None:
        """Return the images that match image, layer, commit, ticket, review and person; None without these filters."""
        meant: list[set[str]] = []
        known_past = wanted.moment.known_past
        if wanted.image is not None:
            meant.append({wanted.image})
        if wanted.commit is not None:
            last = wanted.commit + "g"  # sorts after every hex digit, in any collation
            of_commit = IMAGES_OF_COMMIT.bind(
                {"first": wanted.commit, "last": last, "known_past": known_past, "limit": _IMAGES_MAX}
            )
            meant.append(digests(await self._database.fetch(of_commit)))
        words = [[wanted.ticket]] if wanted.ticket is not None else []
        words += [words_of_review(wanted.review)] if wanted.review is not None else []
        for names in words:
            of_word = [
                IMAGES_OF_TICKET.bind({"word": one, "known_past": known_past, "limit": _IMAGES_MAX}) for one in names
            ]
            meant.append({one for query in of_word for one in digests(await self._database.fetch(query))})
        if wanted.review is not None:  # reviews that were recorded before their numbers were words
            of_review = IMAGES_OF_REVIEW.bind(
                {"name": words_of_review(wanted.review)[0], "known_past": known_past, "limit": _IMAGES_MAX}
            )
            meant[-1] |= digests(await self._database.fetch(of_review))
        if wanted.layer is not None:
            of_layer = IMAGES_OF_LAYER.bind({"layer": wanted.layer, "known_past": known_past, "limit": _IMAGES_MAX})
            meant.append(digests(await self._database.fetch(of_layer)))
        if wanted.person is not None:
            of_person = IMAGES_OF_PERSON.bind({"person": wanted.person, "known_past": known_past, "limit": _IMAGES_MAX})
            meant.append(digests(await self._database.fetch(of_person)))
        return sorted(set.intersection(*meant).union(wanted.images_containing)) if meant else None


async def check_amis(database: Database) -> None:
    """Raise Conflict when rows of instances have no AMI: a search by AMI would not find them."""
    if await database.fetch(AMI_MISSING.bind({})):
        message = "instances that enrolled under an earlier version cannot be found by AMI yet"
        raise Conflict("ami-not-derived", message, fix="run whence-aggregator ledger rebuild")


def _mail_pattern(person: str) -> str:
    """Return the pattern of a list of addresses with this one; empty, which matches none, for a login."""
    escaped = "".join(f"!{one}" if one in "%_!" else one for one in person)
    return f'%"{escaped}"%' if "@" in person else ""


def page_cursor(text: str) -> int:
    """Return the number of the last instance of the previous page. Raises InputError."""
    if not text:
        return 0
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise InputError("parameter-malformed", "invalid cursor", fix="pass `next` from the previous page")
    return int(text)
