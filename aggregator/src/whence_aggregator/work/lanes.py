"""Limits on concurrent tasks: for each host, for each lane, and for each pair of both. Pure.

A host that does not answer occupies a few places, and fewer once it is known to be slow; so does a lane with many tasks
or with hosts that hang. The remaining places are for all others.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whence_aggregator.work.task import Due, Work

_SLOW_KEPT_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneShares:
    """The maximum numbers of concurrent tasks in this process."""

    all_max: int = 48
    lane_max: int = 12
    host_max: int = 8
    pair_max: int = 4
    """Of one lane to one host."""
    slow_host_max: int = 2
    """To a host that was slow for several lanes."""
    slow_pair_max: int = 1
    """Of one lane to a host that was slow for it, perhaps because of the lane itself."""


SHARES = LaneShares()


class Lanes:
    """Counts running tasks."""

    def __init__(self, shares: LaneShares, kinds: Mapping[str, Work]) -> None:
        self._shares = shares
        self._works = kinds
        self._kinds: Counter[str] = Counter()
        self._paced: dict[str, float] = {}
        """By kind with a pace: when the next one may start, in seconds on the worker's clock."""
        self._lanes: Counter[str] = Counter()
        self._hosts: Counter[str] = Counter()
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._slow: dict[str, set[str]] = {}
        """By host: the lanes for which it was slow, and has not answered since."""

    @property
    def under_way(self) -> int:
        return self._lanes.total()

    @property
    def has_room(self) -> bool:
        return self.under_way < self._shares.all_max

    def has_room_for(self, kind: str, lane: str, host: str, *, now: float) -> bool:
        """Return whether one more task of a kind, a lane and a host may start."""
        return (
            self.has_room
            and self._has_room_for_kind(kind, now)
            and self._lanes[lane] < self._shares.lane_max
            and self._hosts[host] < self._host_max(host)
            and self._pairs[lane, host] < self._pair_max(lane, host)
        )

    def _has_room_for_kind(self, kind: str, now: float) -> bool:
        work = self._works.get(kind)
        if work is None:
            return True
        if work.under_way_max is not None and self._kinds[kind] >= work.under_way_max:
            return False
        return now >= self._paced.get(kind, now)

    def take(self, kind: str, lane: str, host: str, *, now: float) -> None:
        """Count a task that starts."""
        self._kinds[kind] += 1
        self._lanes[lane] += 1
        self._hosts[host] += 1
        self._pairs[lane, host] += 1
        work = self._works.get(kind)
        if work is not None and work.seconds_between:
            self._paced[kind] = now + work.seconds_between

    def give_back(self, kind: str, lane: str, host: str) -> None:
        """Count a task that ended."""
        for counter, key in ((self._kinds, kind), (self._lanes, lane), (self._hosts, host)):
            counter[key] -= 1
            if counter[key] <= 0:
                del counter[key]
        self._pairs[lane, host] -= 1
        if self._pairs[lane, host] <= 0:
            del self._pairs[lane, host]

    def answered(self, lane: str, host: str) -> None:
        """Record that a host answered a lane."""
        lanes = self._slow.get(host, set())
        lanes.discard(lane)
        if not lanes:
            self._slow.pop(host, None)

    def was_slow(self, lane: str, host: str) -> None:
        """Record that a host was slow for a lane, and did not answer."""
        if host not in self._slow and len(self._slow) >= _SLOW_KEPT_MAX:
            del self._slow[next(iter(self._slow))]
        self._slow.setdefault(host, set()).add(lane)

    def _host_max(self, host: str) -> int:
        slow_for_several = len(self._slow.get(host, ())) > 1
        return self._shares.slow_host_max if slow_for_several else self._shares.host_max

    def _pair_max(self, lane: str, host: str) -> int:
        return self._shares.slow_pair_max if lane in self._slow.get(host, ()) else self._shares.pair_max


def choose(due: Sequence[Due], lanes: Lanes, *, after: str, tasks_max: int, now: float) -> list[Due]:
    """Return the tasks to start, and count them: of each lane in turn, starting after `after`, its oldest task that
    there is room for.
    """
    waiting: dict[str, list[Due]] = {}
    for task in due:
        waiting.setdefault(task.lane, []).append(task)
    turns = deque(sorted(waiting, key=lambda lane: (lane <= after, lane)))
    chosen: list[Due] = []
    while turns and len(chosen) < tasks_max:
        lane = turns.popleft()
        for place, task in enumerate(waiting[lane]):
            if lanes.has_room_for(task.kind, lane, task.host, now=now):
                lanes.take(task.kind, lane, task.host, now=now)
                chosen.append(task)
                # a task without room has none in the next turn either
                waiting[lane] = waiting[lane][place + 1 :]
                turns.append(lane)
                break
    return chosen
