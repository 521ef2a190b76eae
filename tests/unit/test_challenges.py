"""Challenges: made without anything being kept, and refused unless this aggregator made them, for one use, just now."""

from __future__ import annotations

import re
from typing import cast

import pytest

from fakes.clocks import CountingRandom, FakeClock
from whence_aggregator.agents.challenges import CHALLENGE_SECONDS, Challenges
from whence_aggregator.ports import Database, Unauthenticated

OURS, SECRET = "https://whence.example.org", b"s" * 32


def challenges(*, audience: str = OURS, secret: bytes = SECRET, clock: FakeClock | None = None) -> Challenges:
    """Give challenges that fail when a database is asked."""
    return Challenges(
        database=cast(Database, None),
        secret=secret,
        audience=audience,
        now=clock or FakeClock(),
        random_bytes=CountingRandom(),
    )


def test_a_challenge_is_made_and_known_without_a_database() -> None:
    one, other = challenges(), challenges()
    challenge, expires_at = one.make()
    assert re.fullmatch(r"[A-Za-z0-9_-]{32}\.[0-9]{13}\.[0-9a-f]{64}", challenge)
    assert expires_at == "2026-11-22T12:02:00.000Z"
    other.check(challenge)
    assert one.make()[0] != challenge


@pytest.mark.parametrize("seconds, holds", [(CHALLENGE_SECONDS - 1, True), (CHALLENGE_SECONDS, False)])
def test_a_challenge_ends_with_its_time(seconds: int, holds: bool) -> None:
    clock = FakeClock()
    ours = challenges(clock=clock)
    challenge, _ = ours.make()
    clock.advance(seconds)
    if holds:
        ours.check(challenge)
    else:
        with pytest.raises(Unauthenticated):
            ours.check(challenge)


def bent() -> list[str]:
    challenge, _ = challenges().make()
    random, expires_at, mac = challenge.split(".")
    return [
        "", ".", "..", "...", challenge[:-1], challenge + "0", challenge + "\n", " " + challenge, challenge.upper(),
        f"{random}.{int(expires_at) + 1}.{mac}", f"B{random[1:]}.{expires_at}.{mac}", f"{random}.{expires_at}.", mac,
        f"{random}.{expires_at}.{mac[:-1]}é", "x" * 10_000, challenges(audience=OURS + "/").make()[0],
        challenges(secret=b"t" * 32).make()[0],
    ]  # fmt: skip


@pytest.mark.parametrize("challenge", bent())
def test_what_was_not_made_here_is_unknown(challenge: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        challenges().check(challenge)
    assert (caught.value.code, caught.value.fix) == ("challenge-unknown", "request a new one")
