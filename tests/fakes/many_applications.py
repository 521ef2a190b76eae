"""Many applications at once: registered as one write would, but in transactions of many."""

from __future__ import annotations

import random
from typing import Any

from fakes.in_process import LIMITLESS, ROOT, InProcess
from whence_aggregator.applications.draft import Draft
from whence_aggregator.applications.entries import ApplicationEntries
from whence_aggregator.applications.rows import Newest
from whence_aggregator.callers.limits import Limit

_BATCH = 200
_COMMON = ["service", "api", "for", "the", "payment", "platform", "team", "customer", "order", "data"]


async def register_many(house: InProcess, count: int, *, words: int, seed: int = 20) -> None:
    """Register `app-00000` and so on, each described by words of which some are in most applications."""
    chosen = random.Random(seed)
    vocabulary = [f"{chosen.choice('bcdfgklmnprst')}{chosen.choice('aeiou')}{number:x}" for number in range(3_000)]
    entries = ApplicationEntries(
        caller_bytes=Limit("caller", LIMITLESS, unit="bytes"), team_bytes=Limit("team", LIMITLESS, unit="bytes"),
        now=house.clock,
    )  # fmt: skip
    for start in range(0, count, _BATCH):
        async with house.ledger.writing() as writing:
            for number in range(start, min(start + _BATCH, count)):
                rare = [vocabulary[int(3_000 * chosen.random() ** 3)] for _ in range(words)]
                kio: dict[str, Any] = {
                    "team_id": f"team-{number % 200}", "name": f"{rare[0]} {rare[1]} service", "active": number % 10 > 0,
                    "subtitle": " ".join(rare[:4]), "description": " ".join([*_COMMON, *rare]),
                    "scm_url": f"https://git.example.org/team-{number % 200}/app-{number:05d}",
                }  # fmt: skip
                draft = Draft.merged(None, kio)
                await entries.revise(writing, f"app-{number:05d}", Newest(), draft, ROOT)
