"""Handlers of tasks that read outside systems: facts by their collectors, listings of EC2, and the organisation."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime

from whence_aggregator.collect.fact_recorder import FactRecorder
from whence_aggregator.collect.inventory import InventoryCollector
from whence_aggregator.organisation.recorder import OrganisationRecorder
from whence_aggregator.organisation.values import SourceName
from whence_aggregator.ports import CollectedFact
from whence_aggregator.trace.facts import AMI_KIND, BRANCH_KIND, PUT_OFF, REVIEW_KIND, SIGNATURE_KIND, TICKET_KIND
from whence_aggregator.work.hour_shares import HourShares
from whence_aggregator.work.questions import RANGES_LANE, shown_lane
from whence_aggregator.work.task import Again, Task
from whence_common.clock import Now, to_instant
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

TAG_SECONDS = 86_400.0
"""How often a tag that instances were started by is read."""
AWAITED_SECONDS_MIN = 300.0
AWAITED_SECONDS_MAX = 14 * 86_400.0
"""How soon, and for how long, a missing commit, image or trusted signature is read again."""
BRANCH_SECONDS_MAX = 30 * 86_400.0
"""The longest time until the protected branches are read again for a commit: they are also forced and renamed."""
SIGNATURE_SECONDS_MAX = 7 * 86_400.0
"""The longest time until a signature is verified again: keys are added and revoked."""


OPEN_SECONDS_MIN = 3_600.0
"""How soon a review or an open ticket is read again at the earliest."""
_SHARED = (REVIEW_KIND, TICKET_KIND)
"""Kinds that are read again and again from hosts that count requests."""


class Asking:
    """Collects one fact. A fact that may change is collected again later."""

    def __init__(self, *, recorder: FactRecorder, now: Now, shares: HourShares | None = None) -> None:
        """`shares`: what each team may ask of hosts in an hour about reviews and tickets; None: without a limit."""
        self._recorder = recorder
        self._now = now
        self._shares = shares

    async def do(self, task: Task) -> Again | None:
        share = self._shares.take(task.host, task.lane) if self._shares is not None and task.kind in _SHARED else None
        if share is not None and share.wait_seconds:
            reason = f"{PUT_OFF}{shown_lane(task.lane)} asked {task.host} {share.share} times, its share of this hour"
            return Again(seconds=share.wait_seconds, reason=reason, asked=False)
        finding, since = await self._recorder.ask(task.kind, task.subject, task.lane)
        if task.lane == RANGES_LANE and finding.outcome == "found":
            return None  # what no instance runs is read once
        next_one = again(task.kind, finding, waited=self._waited(since))
        if next_one is None or task.kind not in _SHARED:
            return next_one
        left = f"; {share.left} of {share.share} questions left this hour" if share is not None else ""
        return replace(next_one, reason=f"{next_one.reason}; read at {to_instant(self._now())}{left}")

    def _waited(self, since: datetime) -> float:
        return (self._now() - since).total_seconds()


class InventoryListing:
    """Lists one account and region repeatedly; without an inventory, the task is deleted."""

    def __init__(self, inventory: InventoryCollector | None) -> None:
        self._inventory = inventory

    async def do(self, task: Task) -> Again | None:
        if self._inventory is None:
            return None
        summary = await self._inventory.collect(task.subject)
        log.info("inventory", extra=fields(subject=task.subject, said=summary))
        return Again(seconds=self._inventory.seconds, reason=summary)


class OrganisationReading:
    """Reads one source of the organisation again and again; one that the settings no longer name is forgotten."""

    def __init__(
        self,
        *,
        recorder: OrganisationRecorder,
        seconds: Mapping[SourceName, float],
        on_read: Callable[[], Awaitable[None]],
    ) -> None:
        self._recorder = recorder
        self._seconds = seconds
        self._on_read = on_read

    async def do(self, task: Task) -> Again | None:
        source = next((one for one in self._seconds if one == task.subject), None)
        if source is None:
            return None
        said = await self._recorder.read(source)
        await self._on_read()
        return Again(seconds=self._seconds[source], reason=said)


def again(kind: str, finding: CollectedFact, *, waited: float) -> Again | None:
    """Return when to collect again, if the answer may change. `waited` is how long the answer has been the same. Pure.

    A tag may move any day. Missing subjects are read ever less often, for two weeks. Whether a branch reaches a commit,
    reviews and tickets are read ever less often, without an end; open tickets at least every day.
    """
    if kind == "tag":
        return Again(seconds=TAG_SECONDS, reason=finding.reason or str(finding.value.get("digest", "")))
    if kind == AMI_KIND:
        return Again(seconds=TAG_SECONDS, reason=finding.reason or "the AMI may be deprecated")
    if kind == BRANCH_KIND:
        return Again(seconds=branch_seconds(finding, waited), reason="the branch may move")
    if kind in (REVIEW_KIND, TICKET_KIND) and finding.outcome == "found":
        return Again(seconds=tracked_seconds(finding, waited), reason=f"the {kind} may change")
    if kind == SIGNATURE_KIND:
        seconds = min(max(waited, TAG_SECONDS), SIGNATURE_SECONDS_MAX)
        return Again(seconds=seconds, reason="keys are added and revoked")
    if finding.awaited and waited < AWAITED_SECONDS_MAX:
        return Again(seconds=min(max(waited, AWAITED_SECONDS_MIN), TAG_SECONDS), reason=f"awaits {finding.awaited}")
    return None


def branch_seconds(finding: CollectedFact, stood: float) -> float:
    """Return when to read again whether a branch reaches a commit, from how long the answer has been the same.

    A commit that is not reached may be merged any minute; one that is reached is rarely removed.
    """
    reached = finding.value["reachable"] is True
    least = TAG_SECONDS if reached else AWAITED_SECONDS_MIN
    most = BRANCH_SECONDS_MAX if reached or stood > AWAITED_SECONDS_MAX else TAG_SECONDS
    return min(max(stood, least), most)


def tracked_seconds(finding: CollectedFact, stood: float) -> float:
    """Return when to read a review or ticket again, from how long the answer has been the same."""
    most = TAG_SECONDS if finding.value.get("closed") is False else BRANCH_SECONDS_MAX
    return min(max(stood, OPEN_SECONDS_MIN), most)
