"""The cache of an issuer's keys, by its rules: whatever happens in whatever order, against a plain model of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from whence_aggregator.callers.key_cache import FetchedKeys, KeyCache, KeyDescription
from whence_aggregator.callers.sign_in_unavailable import SignInUnavailable
from whence_aggregator.ports import SourceUnavailable


@dataclass(frozen=True)
class NamedKey:
    """A key that verifies nothing."""

    description: KeyDescription

    def verifies(self, text: str, algorithm: str) -> bool:
        return False


def named(key_id: str) -> NamedKey:
    return NamedKey(KeyDescription(key_id=key_id, family="RSA", curve="", use=None, algorithm=None))


@dataclass
class Source:
    """An issuer that lists `keys`; `opened` cleared makes it wait."""

    keys: set[str] = field(default_factory=lambda: {"a"})
    down: bool = False
    max_age: float | None = 600.0
    fetched: list[float] = field(default_factory=list)
    now: float = 0.0
    under_way: int = 0
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.opened.set()

    async def fetch(self) -> FetchedKeys:
        self.fetched.append(self.now)
        self.under_way += 1
        assert self.under_way == 1, "one fetch at a time"
        try:
            await self.opened.wait()
            if self.down:
                raise SourceUnavailable("issuer-unavailable", "down")
            return FetchedKeys(keys=[named(one) for one in sorted(self.keys)], max_age_seconds=self.max_age)
        finally:
            self.under_way -= 1


def cached() -> tuple[Source, KeyCache]:
    source = Source()
    return source, KeyCache("https://issuer.example.org", source, clock=lambda: source.now)


async def serves(cache: KeyCache, key_id: str) -> bool | None:
    """Whether a key verifies; None when that cannot be said."""
    try:
        return bool(await cache.fitting("RS256", key_id))
    except SignInUnavailable:
        return None


async def test_many_who_wait_share_one_fetch_and_one_who_leaves_ends_it_for_nobody() -> None:
    source, cache = cached()
    source.opened.clear()
    waiting = [asyncio.ensure_future(serves(cache, "a")) for _ in range(50)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    source.opened.set()
    assert await asyncio.gather(*waiting[1:]) == [True] * 49
    assert len(source.fetched) == 1


async def test_a_max_age_is_brought_within_five_minutes_and_a_day() -> None:
    for stated, fresh in ((0.0, 300.0), (1e9, 86_400.0), (None, 3600.0), (700.0, 700.0)):
        source, cache = cached()
        source.max_age = stated
        await serves(cache, "a")
        source.now = fresh - 1
        await serves(cache, "a")
        assert len(source.fetched) == 1, stated
        source.now = fresh
        await serves(cache, "a")
        assert len(source.fetched) == 2, stated


async def test_a_fetch_that_failed_is_tried_again_after_ten_seconds_and_not_before() -> None:
    source, cache = cached()
    source.down = True
    assert [await serves(cache, "a") for _ in range(5)] == [None] * 5
    assert source.fetched == [0.0]
    source.now, source.down = 10.0, False
    assert await serves(cache, "a") is True


STEPS = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from("abcd")),
    st.tuples(st.just("list"), st.sets(st.sampled_from("abcd"), min_size=1)),
    st.tuples(st.just("down"), st.booleans()),
    st.tuples(st.just("pass"), st.sampled_from([1.0, 9.0, 10.0, 299.0, 300.0, 601.0, 3600.0, 43_200.0, 86_400.0])),
    st.tuples(st.just("refresh"), st.none()),
    st.tuples(st.just("flood"), st.sampled_from("xyz")),
)


@settings(max_examples=300)
@given(st.lists(STEPS, max_size=40))
def test_in_whatever_order_things_happen_no_key_serves_that_must_not(steps: list[tuple[str, object]]) -> None:
    asyncio.run(_follow(steps))


async def _follow(steps: list[tuple[str, object]]) -> None:
    """Follow the steps, and hold the cache to what its rules promise at each."""
    source, cache = cached()
    model = Model(source)
    for step, value in steps:
        before = len(source.fetched)
        if step == "list":
            assert isinstance(value, set)
            source.keys = value
        elif step == "down":
            source.down = bool(value)
        elif step == "pass":
            assert isinstance(value, float)
            source.now += value
        elif step == "refresh":
            await cache.refresh()
            model.fetched()
        else:
            due = model.is_due()
            found = [await serves(cache, str(value)) for _ in range(20 if step == "flood" else 1)]
            model.asked(len(source.fetched) - before, due=due)
            assert found[-1] == model.serves(str(value))
    await cache.close()


@dataclass
class Model:
    """What is promised: the newest good answer counts, for a day; the issuer is asked when it is due, or for a key."""

    source: Source
    good: tuple[float, set[str]] | None = None
    retry_at: float = 0.0
    unknown_at: float = -1e9

    def is_due(self) -> bool:
        """Whether the set is too old, and the last failure long enough ago."""
        old = self.good is None or self.source.now >= self.good[0] + 600.0
        return old and self.source.now >= self.retry_at

    def fetched(self) -> None:
        if self.source.down:
            self.retry_at = self.source.now + 10.0
        else:
            self.good = self.source.now, set(self.source.keys)

    def asked(self, fetches: int, *, due: bool) -> None:
        """Check that no more was fetched than was due and one for a key that is not known, in five minutes."""
        assert int(due) <= fetches <= int(due) + 1
        if fetches > int(due):
            assert self.source.now - self.unknown_at >= 300.0
            self.unknown_at = self.source.now
        if fetches:
            self.fetched()

    def serves(self, key_id: str) -> bool | None:
        if self.good is None or self.source.now - self.good[0] >= 86_400.0:
            return None
        return key_id in self.good[1]
