"""Who may be asked now: shares of the work under way, for each host, for each lane, and for both together. Pure.

A host that does not answer holds a few places for as long as it takes, and fewer once it is known to; a lane that asks
much, or asks hosts that hang, holds a few as well. What is left is for all others.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whence_aggregator.work.task import Due, Work

_SLOW_KEPT_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneShares:
    """How many questions are under way at once in this process."""

    all_max: int = 48
    lane_max: int = 12
    host_max: int = 8
    pair_max: int = 4
    """Of one lane to one host."""
    slow_host_max: int = 2
    """To a host that was slow for several lanes in a row."""
    slow_pair_max: int = 1
    """Of one lane to a host that was slow for it: one that it may have made slow itself."""


SHARES = LaneShares()


class Lanes:
    """Counts what is under way."""

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
        """By host: the lanes that waited for it long and in vain, and have had no answer since."""

    @property
    def under_way(self) -> int:
        return self._lanes.total()

    @property
    def has_room(self) -> bool:
        return self.under_way < self._shares.all_max

    def has_room_for(self, kind: str, lane: str, host: str, *, now: float) -> bool:
        """Return whether one more task of a kind may start, on behalf of a lane, asking a host."""
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
        """Count one more."""
        self._kinds[kind] += 1
        self._lanes[lane] += 1
        self._hosts[host] += 1
        self._pairs[lane, host] += 1
        work = self._works.get(kind)
        if work is not None and work.seconds_between:
            self._paced[kind] = now + work.seconds_between

    def give_back(self, kind: str, lane: str, host: str) -> None:
        """Count one less."""
        for counter, key in ((self._kinds, kind), (self._lanes, lane), (self._hosts, host)):
            counter[key] -= 1
            if counter[key] <= 0:
                del counter[key]
        self._pairs[lane, host] -= 1
        if self._pairs[lane, host] <= 0:
            del self._pairs[lane, host]

    def answered(self, lane: str, host: str) -> None:
        """Note that a lane had an answer of a host."""
        lanes = self._slow.get(host, set())
        lanes.discard(lane)
        if not lanes:
            self._slow.pop(host, None)

    def was_slow(self, lane: str, host: str) -> None:
        """Note that a lane waited long for a host, and in vain."""
        if host not in self._slow and len(self._slow) >= _SLOW_KEPT_MAX:
            del self._slow[next(iter(self._slow))]
        self._slow.setdefault(host, set()).add(lane)

    def _host_max(self, host: str) -> int:
        slow_for_several = len(self._slow.get(host, ())) > 1
        return self._shares.slow_host_max if slow_for_several else self._shares.host_max

    def _pair_max(self, lane: str, host: str) -> int:
        return self._shares.slow_pair_max if lane in self._slow.get(host, ()) else self._shares.pair_max


def choose(due: Sequence[Due], lanes: Lanes, *, after: str, tasks_max: int, now: float) -> list[Due]:
    """Choose whom to ask, and count them in: of each lane in turn, from the one that follows `after`, its oldest task
    that there is room for.
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
                # what there was no room for has none in the next turn either
                waiting[lane] = waiting[lane][place + 1 :]
                turns.append(lane)
                break
    return chosen
