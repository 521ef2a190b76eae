"""Answers of the API that visitors with the same rights share: a crowd at one page asks once for all of them."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from whence_aggregator.console.asking import Ask, QueryFields

KEPT_SECONDS_MIN = 2.0
KEPT_SECONDS_MAX = 20.0
_KEPT_FACTOR = 40.0
"""What takes long is kept for longer, so that reading it again takes at most a fortieth of the time."""
_OLD_SECONDS_MAX = 10.0
"""How much too old an answer may be that is returned while it is read again."""
_FORGOTTEN_SECONDS = 60.0
_ANSWERS_MAX = 500
Rights = tuple[str, tuple[str, ...] | None, tuple[str, ...]]
"""What answers depend on: the scope of reading, the teams, and the rights."""
_Key = tuple[Rights, str, str, tuple[tuple[str, str], ...]]


def rights_of(stated: Mapping[str, Any]) -> Rights:
    """Return the rights of a caller, as /v1/whoami states them."""
    teams = tuple(sorted(stated["teams"])) if stated["teams"] is not None else None
    return str(stated["reads"]), teams, tuple(sorted(stated["rights"]))


@dataclass(slots=True)
class _Known:
    value: Any
    read_at: float
    kept_seconds: float


class SharedAnswers:
    """Keeps answers for some seconds, by the rights of those who asked."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[_Key, _Known] = OrderedDict()
        self._reading: dict[_Key, asyncio.Task[Any]] = {}

    def asking(self, ask: Ask, rights: Rights) -> SharedAsk:
        """Return what asks on behalf of a visitor with these rights."""
        return SharedAsk(self, ask, rights)

    async def answer(self, key: _Key, read: Callable[[], Awaitable[Any]]) -> Any:
        """Return an answer; one that is a little too old is returned, and read anew meanwhile. Raises as `read`."""
        known, reading = self._known.get(key), self._reading.get(key)
        age = self._clock() - known.read_at if known is not None else _OLD_SECONDS_MAX
        if known is not None and age < known.kept_seconds:
            self._known.move_to_end(key)
            return known.value
        if reading is None:
            reading = self._reading[key] = asyncio.create_task(self._read(key, read))
            reading.add_done_callback(_note)
        if known is not None and age < known.kept_seconds + _OLD_SECONDS_MAX:
            return known.value
        return await asyncio.shield(reading)

    async def _read(self, key: _Key, read: Callable[[], Awaitable[Any]]) -> Any:
        began = self._clock()
        try:
            value = await read()
        finally:
            del self._reading[key]
        now = self._clock()
        kept = min(KEPT_SECONDS_MAX, max(KEPT_SECONDS_MIN, _KEPT_FACTOR * (now - began)))
        self._known[key] = _Known(value, now, kept)
        self._known.move_to_end(key)
        while len(self._known) > _ANSWERS_MAX or now - next(iter(self._known.values())).read_at > _FORGOTTEN_SECONDS:
            self._known.popitem(last=False)
        return value


class SharedAsk:
    """Asks as one visitor; answers may be some seconds old. Changes are sent as they are."""

    def __init__(self, answers: SharedAnswers, ask: Ask, rights: Rights) -> None:
        self._answers = answers
        self._ask = ask
        self._rights = rights

    async def get(self, path: str, parameters: QueryFields | None = None) -> Any:
        return await self._answers.answer(
            self._key("get", path, parameters), lambda: self._ask.get(path, parameters)
        )  # fmt: skip

    async def find(self, path: str, parameters: QueryFields | None = None) -> Any | None:
        return await self._answers.answer(
            self._key("find", path, parameters), lambda: self._ask.find(path, parameters)
        )  # fmt: skip

    async def text(self, path: str, parameters: QueryFields | None = None) -> str:
        return str(
            await self._answers.answer(self._key("text", path, parameters), lambda: self._ask.text(path, parameters))
        )

    async def find_text(self, path: str) -> str | None:
        found = await self._answers.answer(self._key("find_text", path, None), lambda: self._ask.find_text(path))
        return str(found) if found is not None else None

    async def post(self, path: str, document: Mapping[str, Any], parameters: QueryFields | None = None) -> Any:
        return await self._ask.post(path, document, parameters)

    def _key(self, how: str, path: str, parameters: QueryFields | None) -> _Key:
        return self._rights, how, path, tuple(sorted((parameters or {}).items()))


def _note(reading: asyncio.Task[Any]) -> None:
    if not reading.cancelled():
        reading.exception()  # those who wait raise it; there may be none left
