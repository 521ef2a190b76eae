"""Answers of the API for a page, each checked against openapi.yaml, so that no page is tested with an invented form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from landscape.contract import contract
from whence_aggregator.console.asking import ApiAnswer, ApiRefused, QueryFields
from whence_aggregator.console.frame import Frame
from whence_aggregator.console.held_files import HeldFiles
from whence_aggregator.console.page import Elsewhere, PageAnswer, ShowPage, Visit, Visitor, WebPage

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
AUDITOR = Visitor(name="ada", teams=frozenset(), rights=frozenset({"audit"}))
OF_HELLO = Visitor(name="mia", teams=frozenset({"hello"}), rights=frozenset(), reads_all=False)
"""Reads its own team's resources only."""
EVERYBODY = Visitor(name="root", teams=None, rights=frozenset())


@dataclass
class FakeAsk:
    """Answers by path, or by path with its query; an answer may have a status of its own. What is not set is not found."""

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    sent: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    async def get(self, path: str, parameters: QueryFields | None = None) -> Any:
        return _document(self._answer("GET", path, parameters))

    async def find(self, path: str, parameters: QueryFields | None = None) -> Any | None:
        answer = self._answer("GET", path, parameters)
        return None if answer.status in (403, 404) else _document(answer)

    async def text(self, path: str, parameters: QueryFields | None = None) -> str:
        """Return the text of an answer."""
        answer = self._answer("GET", path, parameters)
        _document(answer)
        return answer.text

    async def find_text(self, path: str) -> str | None:
        answer = self._answer("GET", path, None)
        if answer.status in (403, 404):
            return None
        _document(answer)
        return answer.text

    async def post(self, path: str, document: Mapping[str, Any], parameters: QueryFields | None = None) -> Any:
        self.sent.append((path, document))
        return _document(self._answer("POST", path, parameters))

    def _answer(self, method: str, path: str, parameters: QueryFields | None) -> ApiAnswer:
        whole = path + (f"?{urlencode(parameters)}" if parameters else "")
        self.asked.append(whole)
        found = self.answers.get(whole, self.answers.get(path))
        if found is None:
            found = ApiAnswer(status=404, document={"code": "not-found", "detail": "not found", "fix": ""})
        if isinstance(found, str):
            found = ApiAnswer(status=200, document=None, text=found)
        answer = found if isinstance(found, ApiAnswer) else ApiAnswer(status=200, document=found)
        if answer.status < 400:
            body = answer.text.encode() or json.dumps(answer.document).encode()
            contract().check(method, path, answer.status, _form(path, answer), body)
        return answer


def _form(path: str, answer: ApiAnswer) -> str:
    """Return the media type of an answer."""
    if path.startswith("/v1/statements/"):
        return "application/vnd.dsse.envelope.v1+json"
    return "text/plain" if answer.text else "application/json"


def _document(answer: ApiAnswer) -> Any:
    if answer.status >= 400:
        raise ApiRefused(answer)
    return answer.document


async def shown(
    show: ShowPage, ask: FakeAsk, *, path: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None, visitor: Visitor = EVERYBODY,
) -> str:  # fmt: skip
    """Return the HTML of a page for a visit; the address for one that sends elsewhere."""
    page = await answered(show, ask, path=path, query=query, form=form, visitor=visitor)
    if isinstance(page, Elsewhere):
        return page.path
    assert isinstance(page, WebPage)
    return Frame().render(page, visitor=visitor, csrf="c" * 64, address="/console/")


async def answered(
    show: ShowPage, ask: FakeAsk, *, path: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None, visitor: Visitor = EVERYBODY,
) -> PageAnswer:  # fmt: skip
    """Return what a page answers a visit with."""
    held = HeldFiles(now=lambda: NOW)
    visit = Visit(ask=ask, visitor=visitor, now=NOW, path=path or {}, query=query or {}, form=form or {}, held=held)
    return await show(visit)
