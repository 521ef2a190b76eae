"""Sessions of browsers in both databases: bounds by caller and by address, expiry, and secrets that do not fit."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fakes.clocks import CountingRandom, FakeClock
from whence_aggregator.callers.browser_sessions import BrowserSession, BrowserSessions
from whence_aggregator.callers.sealing import Seal
from whence_aggregator.ports import Database

SECRETS = iter(range(10_000_000))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sessions(database: Database, clock: FakeClock) -> BrowserSessions:
    return BrowserSessions(
        database=database, seal=Seal(b"s" * 32, purpose="console", random_bytes=CountingRandom()), seconds_max=3600.0,
        random_text=lambda size: f"secret-{next(SECRETS):0{size}}", now=clock,
    )  # fmt: skip


async def begun(sessions: BrowserSessions, address: str, number: int) -> list[BrowserSession]:
    return [await sessions.begin_sign_in({"state": str(n)}, address=address) for n in range(number)]


async def test_sign_ins_of_one_address_end_its_own_oldest_and_nobody_elses(
    sessions: BrowserSessions, clock: FakeClock
) -> None:
    (other,) = await begun(sessions, "198.51.100.7", 1)
    clock.advance(1.0)
    first = (await begun(sessions, "203.0.113.9", 1))[0]
    clock.advance(1.0)
    await begun(sessions, "203.0.113.9", 200)
    assert await sessions.take("sign-in", first.secret) is None
    assert await sessions.take("sign-in", other.secret) is not None


async def test_a_further_session_of_a_caller_ends_the_one_that_ends_first(
    sessions: BrowserSessions, clock: FakeClock
) -> None:
    kept = []
    for _ in range(21):
        kept.append(await sessions.begin("token", caller="ada", until=None))
        clock.advance(1.0)
    assert await sessions.find(kept[0].secret) is None
    assert all([await sessions.find(one.secret) for one in kept[1:]])


async def test_a_session_ends_with_its_token_or_after_its_time(sessions: BrowserSessions, clock: FakeClock) -> None:
    short = await sessions.begin("token", caller="ada", until=clock() + timedelta(seconds=60))
    long = await sessions.begin("token", caller="ada", until=clock() + timedelta(days=9))
    clock.advance(61.0)
    assert await sessions.find(short.secret) is None
    found = await sessions.find(long.secret)
    assert found is not None
    assert found.token == "token"
    clock.advance(3600.0)
    assert await sessions.find(long.secret) is None


async def test_a_secret_of_one_kind_is_not_one_of_another_and_is_taken_once(sessions: BrowserSessions) -> None:
    link = await sessions.begin_link("token", caller="ada", until=None)
    assert await sessions.find(link.secret) is None
    assert await sessions.take("session", link.secret) is None
    taken = await sessions.take("link", link.secret)
    assert taken is not None
    assert taken.token == "token"
    assert await sessions.take("link", link.secret) is None


@pytest.mark.parametrize("secret", ["", "x" * 101, "\u00e9", "a\x00b", "unknown"])
async def test_a_secret_that_was_not_made_here_finds_nothing(sessions: BrowserSessions, secret: str) -> None:
    assert await sessions.find(secret) is None
    assert await sessions.take("sign-in", secret) is None
