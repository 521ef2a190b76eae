"""Visitors with the same rights share answers, and no others do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from whence_aggregator.console.asking import ApiAnswer, ApiRefused, QueryFields
from whence_aggregator.http.shared_answers import Rights, SharedAnswers, rights_of

_ALL: Rights = ("organisation", None, ())
_OF_HELLO: Rights = ("teams", ("hello",), ())


class _Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class _Asked:
    """Answers with the number of the question, after a time that a test sets."""

    def __init__(self, clock: _Clock) -> None:
        self.clock = clock
        self.asked: list[str] = []
        self.takes_seconds = 0.0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.refuses = False

    async def get(self, path: str, parameters: QueryFields | None = None) -> Any:
        self.asked.append(path + "".join(f"?{name}={value}" for name, value in (parameters or {}).items()))
        await self.may_answer.wait()
        self.clock.seconds += self.takes_seconds
        if self.refuses:
            raise ApiRefused(ApiAnswer(status=503, document={"code": "storage-slow"}))
        return len(self.asked)

    async def find(self, path: str, parameters: QueryFields | None = None) -> Any | None:
        return await self.get(f"find {path}", parameters)

    async def text(self, path: str, parameters: QueryFields | None = None) -> str:
        return f"text {await self.get(path, parameters)}"

    async def find_text(self, path: str) -> str | None:
        await self.get(f"text {path}")
        return None

    async def post(self, path: str, document: Mapping[str, Any], parameters: QueryFields | None = None) -> Any:
        return await self.get(f"post {path}", parameters)


async def _rounds() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_crowd_asks_once_and_each_question_and_each_right_by_itself() -> None:
    clock = _Clock()
    answers, asked = SharedAnswers(clock), _Asked(clock)
    everybody, member = answers.asking(asked, _ALL), answers.asking(asked, _OF_HELLO)
    assert await asyncio.gather(*(everybody.get("/v1/summary", {"by": "team"}) for _ in range(50))) == [1] * 50
    assert await everybody.get("/v1/summary", {"by": "rule"}) == 2
    assert await everybody.find("/v1/summary", {"by": "team"}) == 3
    assert await member.get("/v1/summary", {"by": "team"}) == 4
    assert await everybody.find_text("/v1/log/checkpoint") is None
    assert await everybody.find_text("/v1/log/checkpoint") is None
    assert len(asked.asked) == 5
    assert [await everybody.text("/v1/log/keys") for _ in range(2)] == ["text 6", "text 6"]
    assert [await everybody.post("/v1/x", {}) for _ in range(2)] == [7, 8], "changes are never shared"


async def test_an_answer_that_is_a_little_old_is_returned_while_it_is_read_again() -> None:
    clock = _Clock()
    asked = _Asked(clock)
    ask = SharedAnswers(clock).asking(asked, _ALL)
    assert await ask.get("/v1/summary") == 1
    clock.seconds = 1.9
    assert (await ask.get("/v1/summary"), len(asked.asked)) == (1, 1)
    clock.seconds = 2.0
    asked.may_answer.clear()
    assert [await ask.get("/v1/summary") for _ in range(3)] == [1, 1, 1]
    asked.may_answer.set()
    await _rounds()
    assert (await ask.get("/v1/summary"), len(asked.asked)) == (2, 2)
    clock.seconds = 14.1
    assert await ask.get("/v1/summary") == 3, "one that is much too old is waited for"


async def test_what_takes_long_is_kept_for_longer_with_a_bound() -> None:
    clock = _Clock()
    asked = _Asked(clock)
    ask = SharedAnswers(clock).asking(asked, _ALL)
    asked.takes_seconds = 0.2
    assert await ask.get("/v1/summary") == 1
    clock.seconds = 8.1
    assert (await ask.get("/v1/summary"), len(asked.asked)) == (1, 1)
    asked.takes_seconds = 5.0
    assert await ask.get("/v1/coverage") == 2
    clock.seconds += 20.0
    await ask.get("/v1/coverage")
    await _rounds()
    assert asked.asked == ["/v1/summary", "/v1/coverage", "/v1/coverage"]


async def test_a_refusal_is_raised_to_each_who_asked_and_is_not_kept() -> None:
    clock = _Clock()
    asked = _Asked(clock)
    ask = SharedAnswers(clock).asking(asked, _ALL)
    asked.refuses = True
    for _ in range(2):
        with pytest.raises(ApiRefused):
            await ask.get("/v1/summary")
    asked.refuses = False
    assert await ask.get("/v1/summary") == 3


def test_rights_are_the_scope_of_reading_the_teams_and_the_rights() -> None:
    stated = {"reads": "teams", "teams": ["b", "a"], "rights": ["person", "audit"], "name": "ada"}
    assert rights_of(stated) == ("teams", ("a", "b"), ("audit", "person"))
    assert rights_of({**stated, "teams": None, "reads": "organisation", "rights": []}) == _ALL
