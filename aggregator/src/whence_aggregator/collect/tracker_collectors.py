"""Collectors of reviews and tickets. Both change, so they are read again, ever less often."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from whence_aggregator.collect.commits import commit_of
from whence_aggregator.collect.known_repositories import REPOSITORY_KIND, KnownRepositories, NoneKnown
from whence_aggregator.ports import CollectedFact, SourceUnavailable
from whence_aggregator.trackers.numbered import TicketIdInvalid
from whence_aggregator.trackers.readers import ReviewReader, TicketReader
from whence_aggregator.trackers.review import COMMIT_UNKNOWN

_NO_REVIEW = {
    "commit-unknown": "{host} has no commit {commit}",
    "no-review": "no merged review brought {commit} into {path}: it was pushed directly",
}


class ReviewCollector:
    """Reads the reviews that commits came in by. The subject is `host/path@commit id`; `readers` are by host."""

    def __init__(self, readers: Mapping[str, ReviewReader], known: KnownRepositories | None = None) -> None:
        self._readers = readers
        self._known = known or NoneKnown()

    async def collect(self, subject: str) -> CollectedFact:
        place, commit_id = commit_of(subject)
        reader = self._readers.get(place.host)
        if reader is None:
            raise _not_configured("reviews", place.host)
        found = await reader.reviews(place.path, commit_id)
        value: dict[str, Any] = {
            "repository_id": found.repository_id, "default_branch": found.default_branch,
            "renamed_to": found.renamed_to, "unmerged": list(found.unmerged),
            "reviews": [one.to_wire() for one in found.reviews],
        }  # fmt: skip
        first = await self._known.first(str(place))
        is_new = first is None and bool(found.repository_id)
        beside = [(REPOSITORY_KIND, str(place), _id_of(found.repository_id))] if is_new else []
        if first is not None and found.repository_id not in ("", first.repository_id):
            value["first_repository"] = {"repository_id": first.repository_id, "recorded_at": first.recorded_at}
        if found.none is None:
            return CollectedFact(outcome="found", value=value, beside=beside)
        if found.none == "commit-unknown":
            value[COMMIT_UNKNOWN] = True
        reason = _NO_REVIEW[found.none].format(host=place.host, path=place.path, commit=commit_id)
        if found.unmerged:
            reason += f"; #{found.unmerged[0]} has it, and is not merged"
        return CollectedFact(outcome="missing", value=value, reason=reason, awaited="a merged review", beside=beside)


class TicketCollector:
    """Reads tickets. The subject is `tracker's host/id`; `readers` are by host."""

    def __init__(self, readers: Mapping[str, TicketReader]) -> None:
        self._readers = readers

    async def collect(self, subject: str) -> CollectedFact:
        host, _, ticket_id = subject.partition("/")
        reader = self._readers.get(host)
        if reader is None:
            raise _not_configured("tickets", host)
        try:
            found = await reader.ticket(ticket_id)
        except TicketIdInvalid as exc:
            return CollectedFact(outcome="missing", value={"problem": "missing"}, reason=exc.message)
        if found.ticket is not None:
            return CollectedFact(outcome="found", value=found.ticket.to_wire())
        problem = found.problem or "missing"
        return CollectedFact(
            outcome="missing", value={"problem": problem}, reason=found.reason,
            awaited="" if problem == "review" else "the ticket",
        )  # fmt: skip


def _id_of(repository_id: str) -> CollectedFact:
    return CollectedFact(outcome="found", value={"repository_id": repository_id})


def _not_configured(what: str, host: str) -> SourceUnavailable:
    return SourceUnavailable(
        "tracker-not-configured", f"{host} is not among the trackers in the settings, so its {what} are not read",
        fix=f"add {host} to trackers",
    )  # fmt: skip
