"""How far each account's events were read: what was missed is unknown, and so is who did it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from whence_aggregator.events.rows import (
    ChainRead,
    CoveredRegion,
    QueueState,
    TrailChange,
    chains,
    covered_regions,
    dead_counts,
    queue_states,
    trail_changes,
)
from whence_aggregator.ports import Database
from whence_aggregator.queries.events import (
    COUNT_TRAIL_DEAD,
    TRAIL_CHAINS_READ,
    TRAIL_CHANGES,
    TRAIL_COVERAGES,
    TRAIL_QUEUES,
    TRAIL_VERIFICATIONS,
)
from whence_aggregator.queries.query import together
from whence_common.clock import Now, from_millis, to_millis
from whence_common.open_metrics import Family, Sample

CHANGES_SHOWN_MAX = 5
"""Changes of what a trail records, of one account and region."""
_PLACE = frozenset({"account", "region"})
_QUEUE = frozenset({"queue"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The coverage of all accounts, at one moment."""

    regions: Mapping[str, Sequence[CoveredRegion]]
    chains: Mapping[tuple[str, str], Sequence[ChainRead]]
    changes: Mapping[tuple[str, str], Sequence[TrailChange]]
    queues: Sequence[QueueState]
    dead: Mapping[str, int]
    at: int


class TrailCoverage:
    """Shows coverage. `configured` is whether events are read at all."""

    def __init__(self, *, database: Database, configured: bool, now: Now) -> None:
        self._database = database
        self._configured = configured
        self._now = now

    async def read(self) -> Coverage:
        """Return the coverage of all accounts. Raises StorageUnavailable."""
        covered, verified, read, changed, queues, dead = await self._database.fetch_all(
            together(
                TRAIL_COVERAGES.bind({}), TRAIL_VERIFICATIONS.bind({}), TRAIL_CHAINS_READ.bind({}),
                TRAIL_CHANGES.bind({"limit": CHANGES_SHOWN_MAX}), TRAIL_QUEUES.bind({}), COUNT_TRAIL_DEAD.bind({}),
            )
        )  # fmt: skip
        regions: defaultdict[str, list[CoveredRegion]] = defaultdict(list)
        for one in covered_regions(covered):
            regions[one.account_id].append(one)
        return Coverage(
            regions=regions, chains=chains(verified, read), changes=trail_changes(changed), queues=queue_states(queues),
            dead=dead_counts(dead), at=to_millis(self._now()),
        )  # fmt: skip

    async def of_accounts(
        self, accounts: Collection[str]
    ) -> tuple[dict[str, dict[str, object]], list[dict[str, object]]]:
        """Return the coverage of accounts by id, and the state of the queues, as they are shown."""
        found = await self.read()
        return {one: self._shown(one, found) for one in accounts}, [_queue(one) for one in found.queues]

    async def unread(self, account_ids: Collection[str]) -> dict[str, str]:
        """Return in which regions the newest log file could not be read, by account; empty: no file ever was.

        Why is left out: it differs from file to file.
        """
        regions = (await self.read()).regions
        found = {}
        for name in account_ids:
            failed = sorted(one.region for one in regions.get(name, ()) if one.failure)
            if failed or name not in regions:
                found[name] = ", ".join(failed)
        return found

    async def families(self) -> Sequence[Family]:
        """Return metrics of the lag, the queues and the dead letters. Raises StorageUnavailable."""
        if not self._configured:
            return ()
        found = await self.read()
        places = [one for some in found.regions.values() for one in some]
        newest = [
            Sample(one.newest_at / 1000, {"account": one.account_id, "region": one.region})
            for one in places
            if one.newest_at is not None
        ]
        failing = [Sample(int(bool(one.failure)), {"account": one.account_id, "region": one.region}) for one in places]
        oldest = [Sample(one.oldest_at / 1000, {"queue": one.url}) for one in found.queues if one.oldest_at is not None]
        return (
            _gauge("trail_newest_event_timestamp_seconds", "Time of the newest event of CloudTrail.", newest, _PLACE),
            _gauge("trail_failing", "1 if the newest file could not be read.", failing, _PLACE),
            _gauge(
                "trail_queue_messages", "Messages that wait in a queue of a trail.",
                [Sample(one.waiting, {"queue": one.url}) for one in found.queues], _QUEUE,
            ),
            _gauge("trail_queue_oldest_timestamp_seconds", "When the oldest message was sent.", oldest, _QUEUE),
            _gauge(
                "trail_queue_failing", "1 if a queue of a trail could not be read.",
                [Sample(int(bool(one.failure)), {"queue": one.url}) for one in found.queues], _QUEUE,
            ),
            _gauge(
                "trail_chains", "Chains of digest files, by what they prove.",
                [
                    Sample(n, {"account": account, "region": region, "state": state})
                    for (account, region), some in found.chains.items()
                    for state, n in sorted(Counter(one.state for one in some).items())
                ], _PLACE,
            ),
            _gauge(
                "trail_dead_letters", "Dead letters of trails, by reason.",
                [Sample(n, {"code": code}) for code, n in found.dead.items()], frozenset(),
            ),
        )  # fmt: skip

    def _shown(self, account_id: str, found: Coverage) -> dict[str, object]:
        regions = found.regions.get(account_id, ())
        if not self._configured:
            reason: str | None = "events of CloudTrail are not read: cloud_trail is not configured"
        elif not regions:
            reason = "no log file of this account was read"
        else:
            failed = [f"{one.region}: {one.failure}" for one in regions if one.failure]
            reason = "; ".join(failed) or None
        return {
            "state": "unknown" if reason is not None else "read",
            "reason": reason,
            "regions": [_region(one, found) for one in regions],
        }


def _region(one: CoveredRegion, found: Coverage) -> dict[str, object]:
    place = one.account_id, one.region
    return {
        "region": one.region,
        "newest_event_at": _instant(one.newest_at),
        "lag_seconds": (found.at - one.newest_at) / 1000 if one.newest_at is not None else None,
        "read_at": _instant(one.read_at),
        "failure": {"at": _instant(one.failed_at), "reason": one.failure} if one.failed_at is not None else None,
        "verification": [
            {
                "chain": chain.chain,
                "state": chain.state,
                "reason": chain.reason or None,
                "since": chain.since,
                "ledger_index": chain.ledger_index,
                "verified_at": _instant(chain.verified_at),
            }
            for chain in found.chains.get(place, ())
        ],
        "changes": [change.to_wire() for change in found.changes.get(place, ())],
    }


def _queue(one: QueueState) -> dict[str, object]:
    return {
        "url": one.url,
        "region": one.region,
        "asked_at": _instant(one.asked_at),
        "waiting": one.waiting,
        "oldest_sent_at": _instant(one.oldest_at),
        "failure": {"at": _instant(one.failed_at), "reason": one.failure} if one.failed_at is not None else None,
    }


def _instant(millis: int | None) -> str | None:
    return from_millis(millis) if millis is not None else None


def _gauge(name: str, help_: str, samples: Sequence[Sample], hidden: frozenset[str]) -> Family:
    return Family(name=f"whence_{name}", kind="gauge", help=help_, samples=samples, hidden=hidden)
