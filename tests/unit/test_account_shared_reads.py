"""Shared reads: one call for all who ask the same, another one after a failure or a cancellation."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from whence_aggregator.adapters.accounts.shared_reads import SharedReads, SharingClient, once


@dataclass
class Client:
    """A client whose calls wait until they may answer, and fail as often as `failures` says."""

    asked: list[dict[str, Any]] = field(default_factory=list)
    is_asked: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    failures: int = 0

    async def describe(self, **asked: Any) -> int:
        self.asked.append(asked)
        self.is_asked.set()
        await self.may_answer.wait()
        if len(self.asked) <= self.failures:
            raise TimeoutError("no answer")
        return len(self.asked)


def sharing(client: Client, reads: SharedReads, where: str = "ec2 eu-west-1 123456789012") -> SharingClient:
    return SharingClient(client, reads, where)


async def test_those_who_ask_the_same_at_the_same_time_get_the_answer_of_one_call() -> None:
    client, reads = Client(), SharedReads()
    asked = [asyncio.create_task(once(sharing(client, reads), "describe", Id="a")) for _ in range(5)]
    client.may_answer.set()
    assert await asyncio.gather(*asked) == [1] * 5
    assert client.asked == [{"Id": "a"}]


async def test_other_parameters_places_and_passes_are_other_calls() -> None:
    client, reads = Client(), SharedReads()
    client.may_answer.set()
    first = await once(sharing(client, reads), "describe", Id="a")
    assert await once(sharing(client, reads), "describe", Id="b") != first
    assert await once(sharing(client, reads, "ec2 eu-west-1 210987654321"), "describe", Id="a") != first
    assert await once(sharing(client, SharedReads()), "describe", Id="a") != first
    assert await once(sharing(client, reads), "describe", Id="a") == first


async def test_a_client_outside_of_a_pass_is_called_each_time() -> None:
    client = Client()
    client.may_answer.set()
    assert [await once(client, "describe") for _ in range(3)] == [1, 2, 3]


async def test_a_call_that_failed_is_made_again_by_the_next_who_needs_it() -> None:
    client, reads = Client(failures=1), SharedReads()
    client.may_answer.set()
    with pytest.raises(TimeoutError):
        await once(sharing(client, reads), "describe")
    assert await once(sharing(client, reads), "describe") == 2


async def test_a_cancelled_reader_leaves_the_call_to_those_who_wait() -> None:
    client, reads = Client(), SharedReads()
    first, second = (asyncio.create_task(once(sharing(client, reads), "describe")) for _ in range(2))
    await client.is_asked.wait()
    first.cancel()
    client.may_answer.set()
    assert await second == 2
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_every_other_call_is_the_clients_own() -> None:
    client = Client()
    client.may_answer.set()
    shared = sharing(client, SharedReads())
    assert [await shared.describe(), await shared.describe()] == [1, 2]
