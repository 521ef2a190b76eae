"""openapi.yaml, and the check of every answer of the aggregator that a test receives against it."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any
from urllib.parse import quote

import aiohttp
import jsonschema
import yaml
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from yarl import URL

METHODS = ("get", "head", "put", "post", "patch", "delete", "options")
_NAME = "urn:whence:openapi"
_WITH_SLASHES = re.compile(r"(?<=^/v2/)\{name\}|\{artifact\}|(?<=/tile/)\{path\}")
"""Parameters that match several segments of a path, which OpenAPI cannot express."""
_LINE_BYTES_MAX = 8000
"""A longer request line is refused by the HTTP parser with 400 and plain text, before any route."""
_NO_OPERATION = {400: "a malformed path", 401: "no token", 404: "no such path", 405: "no such method"}


class ContractBroken(AssertionError):
    """An answer differs from openapi.yaml."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path. `parameters` are the operation's and the path's, with references resolved."""

    method: str
    path: str
    definition: Mapping[str, Any]
    parameters: tuple[Mapping[str, Any], ...]
    servers: tuple[str, ...]

    def names(self, place: str) -> set[str]:
        """Return the names of its parameters in the query, the path or the headers."""
        return {one["name"] for one in self.parameters if one["in"] == place}


class Contract:
    """The document. HEAD is part of it wherever GET is, as its description states."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.schemas: Registry[Any] = Registry().with_resource(_NAME, DRAFT202012.create_resource(dict(document)))
        self._operations = {(one.method, one.path): one for one in self._read()}
        paths = sorted(document["paths"], key=lambda path: (path.count("{"), -len(path)))
        self._paths = [(re.compile(_pattern(path)), path) for path in paths]

    @property
    def operations(self) -> tuple[Operation, ...]:
        return tuple(self._operations.values())

    def find(self, method: str, path: str) -> Operation | None:
        """Return the operation that a request is for, by its path without the query."""
        found = (self._operations.get((method.upper(), one)) for one in self._matching(path))
        return next((one for one in found if one is not None), None)

    def check(self, method: str, path: str, status: int, content_type: str, body: bytes | None) -> None:
        """Raise ContractBroken where an answer is not one that the document describes. `body` None was not read."""
        operation = self.find(method, path)
        asked = f"{method} {path} was answered {status} {content_type or 'without a body'}"
        if operation is None:
            expected = {*_NO_OPERATION} - ({404} if any(self._matching(path)) else {405})
            if status not in expected or content_type != "application/problem+json":
                raise ContractBroken(f"{asked}, and openapi.yaml has no such operation: expected {expected}")
            self._validate("/components/schemas/Problem", asked, body)
            return
        response, pointer = self._response(operation, status)
        if response is None:
            known = ", ".join(operation.definition["responses"])
            raise ContractBroken(
                f"{asked}, and openapi.yaml lists only {known} for {operation.method} {operation.path}"
            )
        contents = response.get("content", {})
        if method.upper() == "HEAD" or (not contents and not body):
            return
        kind = next((one for one in contents if _covers(one, content_type)), None)
        if kind is None:
            raise ContractBroken(f"{asked}, and openapi.yaml lists {', '.join(contents) or 'no body'} for this status")
        if _is_json(content_type):
            self._validate(f"{pointer}/content/{_escaped(kind)}/schema", asked, body)

    def _response(self, operation: Operation, status: int) -> tuple[Mapping[str, Any] | None, str]:
        """Return the definition of a response, and the pointer to it."""
        method = operation.method.lower()
        method = method if method in self.document["paths"][operation.path] else "get"
        response = operation.definition["responses"].get(str(status))
        if response is not None and "$ref" in response:
            pointer = response["$ref"].removeprefix("#")
            return self._at(pointer), pointer
        return response, f"/paths/{_escaped(operation.path)}/{method}/responses/{status}"

    def _validate(self, pointer: str, asked: str, body: bytes | None) -> None:
        if not body:
            return
        try:
            value = json.loads(body)
        except ValueError as exc:
            raise ContractBroken(f"{asked}, and the body is not JSON: {body[:200]!r}") from exc
        errors = list(_validator(pointer).iter_errors(value))
        if errors:
            worst = jsonschema.exceptions.best_match(errors)
            raise ContractBroken(f"{asked}: {worst.json_path}: {worst.message[:500]}; schema {pointer}")

    def _read(self) -> Iterator[Operation]:
        for path, item in self.document["paths"].items():
            for method in METHODS:
                definition = item.get(method, item.get("get") if method == "head" else None)
                if definition is not None:
                    named = [*item.get("parameters", []), *definition.get("parameters", [])]
                    yield Operation(
                        method=method.upper(), path=path, definition=definition,
                        parameters=tuple(self._at(one["$ref"][1:]) if "$ref" in one else one for one in named),
                        servers=tuple(one["url"] for one in item.get("servers", [])),
                    )  # fmt: skip

    def _at(self, pointer: str) -> Mapping[str, Any]:
        found: Any = self.document
        for part in pointer.strip("/").split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        assert isinstance(found, dict)
        return found

    def _matching(self, path: str) -> Iterator[str]:
        return (template for pattern, template in self._paths if pattern.fullmatch(path))


def checked_session(url: str, **options: Any) -> aiohttp.ClientSession:
    """Open a session whose answers from this URL are checked."""
    return aiohttp.ClientSession(middlewares=(checked(url),), **options)


def checked(url: str) -> aiohttp.ClientMiddlewareType:
    """Return what raises ContractBroken for an answer from this URL that breaks the contract.

    Answers in JSON are read whole first: `read`, `text` and `json` give them to the caller, `content` does not.
    """
    origin = URL(url).origin()

    async def check(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        answer = await handler(request)
        if request.url.origin() == origin and len(request.url.raw_path_qs) <= _LINE_BYTES_MAX:
            body = await answer.read() if _is_json(answer.content_type) else None
            kind = answer.content_type if "Content-Type" in answer.headers else ""
            contract().check(request.method, request.url.raw_path, answer.status, kind, body)
        return answer

    return check


@functools.cache
def _validator(pointer: str) -> jsonschema.Draft202012Validator:
    """Return what judges by the schema at a pointer into the document of this source tree."""
    formats = jsonschema.Draft202012Validator.FORMAT_CHECKER
    schemas = contract().schemas
    return jsonschema.Draft202012Validator(
        {"$ref": f"{_NAME}#{quote(pointer)}"}, registry=schemas, format_checker=formats
    )


def _pattern(path: str) -> str:
    return re.sub(r"\{[a-z_]+\}", "[^/]+", _WITH_SLASHES.sub(".+", path))


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


def _covers(media_range: str, content_type: str) -> bool:
    return media_range in ("*/*", content_type) or (
        media_range.endswith("/*") and content_type.startswith(media_range.removesuffix("*"))
    )


def _is_json(content_type: str) -> bool:
    return content_type == "application/json" or content_type.endswith("+json")


@functools.cache
def contract() -> Contract:
    """Return the document of this source tree."""
    text = (resources.files("whence_aggregator") / "openapi.yaml").read_text(encoding="utf-8")
    return Contract(yaml.load(text, Loader=yaml.CSafeLoader))
