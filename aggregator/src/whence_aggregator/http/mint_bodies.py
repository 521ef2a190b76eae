"""The body of `PUT /apps/{id}` of mint's storage API, judged whole: every problem is stated. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from whence_aggregator.mint.values import CredentialKind, ResourceScope
from whence_common.errors import InputError, one_line

BODY_BYTES_MAX = 64 * 1024
BUCKETS_MAX = 20
CLUSTERS_MAX = 20
SCOPES_MAX = 200
_PROBLEMS_MAX = 10
_URL_CHARACTERS_MAX = 2_000
_NAME_CHARACTERS_MAX = 100
_BUCKET = re.compile(r"(?:gs://)?[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_CLUSTER = re.compile(r"[a-z][a-z0-9:-]*[a-z0-9]\Z")
_SCOPE = re.compile(r"[a-z][a-z0-9_-]*[a-z0-9]\Z")
"""mint's pattern. No dot: `a.b` of `c` would be the same scope at a provider as `b.c` of `a`."""
_SHOWN_ONLY = frozenset(
    {"username", "client_id", "last_password_rotation", "last_client_rotation", "last_modified", "last_synced",
     "has_problems", "message", "s3_errors"}
)  # fmt: skip
"""Members of an application as it is read: clients send it back whole, and what they send is ignored."""
_KINDS: tuple[CredentialKind, ...] = ("user", "client")
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class SentMint:
    """An application as a client sent it. `provider` and `credentials` are None if they were left out."""

    is_confidential: bool
    redirect_url: str
    buckets: tuple[str, ...]
    clusters: tuple[str, ...]
    scopes: tuple[ResourceScope, ...]
    provider: str | None
    credentials: tuple[CredentialKind, ...] | None


def parse_sent(content: bytes, application_id: str) -> SentMint:
    """Return what a body states; null is the same as left out. Raises InputError with every problem."""
    document = _object(content)
    reading = _Reading(document)
    sent = SentMint(
        is_confidential=reading.flag("is_client_confidential"),
        redirect_url=reading.url(),
        buckets=reading.names("s3_buckets", BUCKETS_MAX, _BUCKET),
        clusters=reading.names("kubernetes_clusters", CLUSTERS_MAX, _CLUSTER),
        scopes=reading.scopes(),
        provider=reading.provider(),
        credentials=reading.credentials(),
    )
    if document.get("id", application_id) != application_id:
        reading.problems.append("id is not the one of the path")
    reading.check_unknown()
    if reading.problems:
        more = len(reading.problems) - _PROBLEMS_MAX
        problems = reading.problems[:_PROBLEMS_MAX] + ([f"{more} more"] if more > 0 else [])
        raise InputError("mint-malformed", "; ".join(problems), fix="correct the body as openapi.yaml describes it")
    return sent


class _Reading:
    """Reads the members of a body, and notes what is wrong."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = {name: value for name, value in document.items() if value is not None}
        self._read = {"id"}
        self.problems: list[str] = []

    def flag(self, name: str) -> bool:
        value = self._of(name)
        if not isinstance(value, bool):
            self.problems.append(f"{name} must be true or false" if value is not None else f"{name} is missing")
        return value is True

    def url(self) -> str:
        """Return the redirect URL; `redirect_urls`, of later versions of mint, may have one."""
        several, one = self._of("redirect_urls"), self._of("redirect_url")
        if several is not None and (not isinstance(several, list) or len(several) > 1):
            self.problems.append("redirect_urls must be a list of at most one URL: an application has one")
            return ""
        listed = several[0] if several else None
        if listed is not None and one is not None and listed != one:
            self.problems.append("redirect_urls is not the URL of redirect_url")
        value = one if one is not None else listed
        if value is None or value == "":
            return ""
        if not isinstance(value, str) or not _is_redirect_url(value):
            self.problems.append(
                "redirect_url must be an https:// URL with a host, and without user, fragment and spaces"
            )
            return ""
        return value

    def names(self, name: str, most: int, form: re.Pattern[str]) -> tuple[str, ...]:
        """Return a list of names, sorted, each once."""

        def item(value: object) -> str | None:
            return value if isinstance(value, str) and form.match(value) else None

        return tuple(sorted(set(self._list(name, most, item))))

    def scopes(self) -> tuple[ResourceScope, ...]:
        found = set(self._list("scopes", SCOPES_MAX, _scope))
        return tuple(sorted(found, key=lambda one: (one.resource_type_id, one.scope_id)))

    def provider(self) -> str | None:
        value = self._of("provider")
        if value is None or (isinstance(value, str) and value):
            return value
        self.problems.append("provider must be the name of a provider")
        return None

    def credentials(self) -> tuple[CredentialKind, ...] | None:
        if "credentials" not in self._document:
            return None
        found = self._list(
            "credentials", len(_KINDS), lambda value: next((one for one in _KINDS if one == value), None)
        )
        if not found:
            self.problems.append("credentials must be a list of user and client")
        return tuple(one for one in _KINDS if one in found)

    def check_unknown(self) -> None:
        unknown = sorted(self._document.keys() - self._read - _SHOWN_ONLY)
        if unknown:
            self.problems.append(f"unknown: {', '.join(one_line(one, 60) for one in unknown[:_PROBLEMS_MAX])}")

    def _list(self, name: str, most: int, item: Callable[[object], _Item | None]) -> Sequence[_Item]:
        value = self._of(name)
        if value is None:
            return ()
        if not isinstance(value, list) or len(value) > most:
            self.problems.append(f"{name} must be a list of at most {most}")
            return ()
        found = [item(one) for one in value]
        wrong = [place for place, one in enumerate(found) if one is None]
        if wrong:
            shown = value[wrong[0]]
            told = f": {one_line(shown, 80)}" if isinstance(shown, str) else ""
            self.problems.append(f"{name}[{wrong[0]}] is malformed{told}")
        return [one for one in found if one is not None]

    def _of(self, name: str) -> Any:
        self._read.add(name)
        return self._document.get(name)


def _scope(value: object) -> ResourceScope | None:
    if not isinstance(value, dict) or value.keys() != {"resource_type_id", "scope_id"}:
        return None
    names = list(value.values())
    if not all(isinstance(one, str) and len(one) <= _NAME_CHARACTERS_MAX and _SCOPE.match(one) for one in names):
        return None
    return ResourceScope(resource_type_id=value["resource_type_id"], scope_id=value["scope_id"])


def _is_redirect_url(text: str) -> bool:
    """Return whether a text is a redirect URI of https (RFC 6749, 3.1.2: absolute, without a fragment)."""
    if (
        len(text) > _URL_CHARACTERS_MAX
        or not (text.isascii() and text.isprintable())
        or set(text) & set(' "<>\\^`{|}#')
    ):
        return False
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    host = parts.hostname or ""
    is_host = any(one.isalnum() for one in host) and ".." not in host and "%" not in host
    return text.startswith("https://") and is_host and "@" not in parts.netloc and port != 0


def _object(content: bytes) -> dict[str, Any]:
    """Return a body that is a JSON object without repeated members. Raises InputError."""
    try:
        document = msgspec.json.decode(content)
        json.loads(content, object_pairs_hook=_once)
    except (msgspec.DecodeError, ValueError, RecursionError) as exc:
        raise InputError("body-not-json", "the body is not JSON, or repeats a member") from exc
    if not isinstance(document, dict):
        raise InputError("body-not-object", "the body is not a JSON object")
    return document


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is repeated")
    return found
