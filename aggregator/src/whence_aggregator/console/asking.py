"""Asks the API on behalf of a visitor: what a page may do, and how the API refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from whence_common.errors import WhenceError

QueryFields = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAnswer:
    """An answer of the API. `document` is the decoded JSON; `text` is the body of an answer that is not JSON."""

    status: int
    document: Any
    request_id: str = ""
    text: str = ""


class ApiRefused(WhenceError):
    """The API did not answer a question of a page; `answer` holds its problem document (RFC 9457)."""

    def __init__(self, answer: ApiAnswer) -> None:
        stated = answer.document if isinstance(answer.document, dict) else {}
        super().__init__(
            str(stated.get("code", f"http-{answer.status}")),
            str(stated.get("detail", "the server did not answer")),
            fix=str(stated.get("fix", "")),
        )
        self.answer = answer


class Ask(Protocol):
    """Asks the API as one person."""

    async def get(self, path: str, parameters: QueryFields | None = None) -> Any:
        """Return the JSON document of an answer. Raises ApiRefused for a status of 400 or more."""

    async def find(self, path: str, parameters: QueryFields | None = None) -> Any | None:
        """Return the document as `get` does; None if it is not found, or the visitor may not see it (404, 403)."""

    async def text(self, path: str, parameters: QueryFields | None = None) -> str:
        """Return the text of an answer that is not JSON, such as a signed note. Raises ApiRefused as `get` does."""

    async def find_text(self, path: str) -> str | None:
        """Return an answer that is not JSON, as text; None as for `find`."""

    async def post(self, path: str, document: Mapping[str, Any], parameters: QueryFields | None = None) -> Any:
        """Send a change and return the document of its answer. Raises ApiRefused for a status of 400 or more."""
