"""Clients of AWS that were replaced are closed once no call can use them."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from fakes.mint_bucket_world import Seconds
from whence_aggregator.adapters.aws_clients import ServiceClients

REGION = "eu-west-1"


async def test_a_client_with_old_keys_is_closed_ten_minutes_after_it_was_replaced() -> None:
    opened: list[weakref.ref[Any]] = []
    clock = Seconds()
    clients = ServiceClients(
        endpoint_url="http://127.0.0.1:9", session_name="test", clock=clock,
        prepare=lambda client: opened.append(weakref.ref(client)),
    )  # fmt: skip
    for seconds in (0, 599, 1):
        clock.at += seconds
        await clients.get("sts", REGION, None)
        clients.drop("sts", REGION, None)
    await clients.get("sts", REGION, None)
    gc.collect()
    assert [one() is not None for one in opened] == [False, True, True, True]
    await clients.close()
