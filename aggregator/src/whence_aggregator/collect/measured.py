"""Metrics of requests to other systems, by host. Hosts are untrusted input: only configured ones become labels."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from whence_aggregator.collect.collectors import Collector
from whence_aggregator.ports import CollectedFact, DescribedImage, Ec2Inventory, ListedInstance
from whence_common.image_reference import registry_name
from whence_common.meters import OTHER, Counter, Histogram
from whence_common.open_metrics import Family

T = TypeVar("T")
_HIDDEN = ("host",)


class Questions:
    """Counts requests by host, kind and outcome, and measures their time. `hosts` are the configured ones."""

    def __init__(self, hosts: frozenset[str], clock: Callable[[], float] = time.perf_counter) -> None:
        self._hosts = hosts
        self._clock = clock
        self._questions = Counter(
            "whence_collector_questions", "Questions to other systems by host, kind and outcome.",
            ("host", "kind", "outcome"), hidden=_HIDDEN,
        )  # fmt: skip
        self._seconds = Histogram(
            "whence_collector_seconds", "How long other systems took to answer, by host and kind.", ("host", "kind"),
            hidden=_HIDDEN,
        )  # fmt: skip

    def of(self, collectors: Mapping[str, Collector]) -> dict[str, Collector]:
        """Return the collectors, wrapped to be counted, by kind."""
        return {kind: _MeasuredCollector(kind, one, self) for kind, one in collectors.items()}

    def of_ec2(self, ec2: Ec2Inventory) -> Ec2Inventory:
        return _MeasuredEc2(ec2, self)

    async def ask(self, host: str, kind: str, asked: Awaitable[T], outcome: Callable[[T], str]) -> T:
        """Return the answer, and count it; an exception is counted as `failed`."""
        began, how = self._clock(), "failed"
        try:
            answer = await asked
            how = outcome(answer)
            return answer
        finally:
            self._questions.add(host, kind, how)
            self._seconds.observe(self._clock() - began, host, kind)

    def host(self, subject: str) -> str:
        """Return the label for `host/path…`: the host, if it is configured."""
        host = registry_name(subject.partition("/")[0])
        return host if host in self._hosts else OTHER

    def families(self) -> Sequence[Family]:
        return self._questions.family(), self._seconds.family()


class _MeasuredCollector:
    def __init__(self, kind: str, collector: Collector, questions: Questions) -> None:
        self._kind = kind
        self._collector = collector
        self._questions = questions

    async def collect(self, subject: str) -> CollectedFact:
        host = self._questions.host(subject)
        return await self._questions.ask(host, self._kind, self._collector.collect(subject), lambda one: one.outcome)


class _MeasuredEc2:
    def __init__(self, ec2: Ec2Inventory, questions: Questions) -> None:
        self._ec2 = ec2
        self._questions = questions

    async def instances(self, account_id: str, region: str) -> Sequence[ListedInstance]:
        asked = self._ec2.instances(account_id, region)
        return await self._questions.ask(f"ec2.{region}", "inventory", asked, lambda _: "found")

    def asking(self, account_id: str, region: str) -> AbstractAsyncContextManager[None]:
        return self._ec2.asking(account_id, region)

    async def image(self, account_id: str, region: str, image_id: str) -> DescribedImage | None:
        asked = self._ec2.image(account_id, region, image_id)
        return await self._questions.ask(
            f"ec2.{region}", "ami", asked, lambda one: "missing" if one is None else "found"
        )

    async def user_data(self, account_id: str, region: str, instance_id: str) -> bytes | None:
        asked = self._ec2.user_data(account_id, region, instance_id)
        return await self._questions.ask(
            f"ec2.{region}", "user-data", asked, lambda one: "missing" if one is None else "found"
        )
