"""A running Kio, or an aggregator: its list, and each application that the list does not state whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

from whence_aggregator.whence.client import Client, Refused, segment
from whence_aggregator.whence.importing.fields import WRITABLE, wrong_id
from whence_aggregator.whence.importing.list_file import RECORDS_MAX, ListedRecord, add_record
from whence_aggregator.whence.importing.pace import Pace
from whence_aggregator.whence.importing.values import Origin, SourceReading, Unmapped, refuse_duplicates
from whence_common.errors import RoadError, WhenceError, one_line

KIO_LIST_BYTES_MAX = 256 * 1024 * 1024
KIO_RECORD_BYTES_MAX = 1024 * 1024
_RETRIED = (429, 500, 502, 503, 504)


class KioSource(Protocol):
    """Reads from a Kio. Raises RoadError, also for refusals of the whole service."""

    def listed(self) -> list[Any]: ...

    def one(self, application_id: str) -> Any: ...


def read_kio(kio: KioSource, *, url: str, progress: Callable[[int, int], None]) -> SourceReading:
    """Return the applications of a Kio. Raises RoadError if it is unreachable or refuses the list."""
    reading = SourceReading(source=f"kio:{url}")
    listed = kio.listed()
    if len(listed) > RECORDS_MAX:
        raise RoadError("kio-too-many", f"{url} lists more than {RECORDS_MAX} applications", retryable=False)
    for number, found in enumerate(listed, start=1):
        name = found.get("id") if isinstance(found, dict) else None
        shown = one_line(name, 80) if isinstance(name, str) else f"record {number}"
        origin = Origin(file=f"{url}/apps/{shown}" if isinstance(name, str) else f"{url}/apps, {shown}")
        progress(number, len(listed))
        record: object = found
        if isinstance(name, str) and not wrong_id(name) and not found.keys() >= set(WRITABLE):
            try:
                record = _of_one(kio.one(name), name)
            except Refused as exc:
                reason = f"Kio refuses it: {exc.message}"
                reading.unmapped.append(
                    Unmapped(origin=origin, code="import-kio-refused", reason=reason, application_id=name, unread=True)
                )
                continue
        add_record(reading, ListedRecord(value=record, origin=origin, lines={}))
    refuse_duplicates(reading)
    return reading


def _of_one(found: object, application_id: str) -> object:
    """Return an application's record if it is the requested one."""
    if isinstance(found, dict) and found.get("id") == application_id:
        return found
    return None


class KioOverHttp:
    """Reads from a Kio by HTTP, at a pace, with bounds of bytes and time."""

    def __init__(self, client: Client, *, url: str, pace: Pace) -> None:
        self._client = client
        self._url = url
        self._pace = pace

    def listed(self) -> list[Any]:
        """Return the list; Kio states an empty one as null."""
        found = self._read("/apps", KIO_LIST_BYTES_MAX)
        if found is None:
            return []
        if not isinstance(found, list):
            raise RoadError("kio-not-list", f"{self._url}/apps is not a list: is this a Kio?", retryable=False)
        return found

    def one(self, application_id: str) -> Any:
        return self._read(f"/apps/{segment(application_id)}", KIO_RECORD_BYTES_MAX)

    def _read(self, path: str, bytes_max: int) -> Any:
        return self._pace.tried(lambda: self._once(path, bytes_max), retried=_is_transient)

    def _once(self, path: str, bytes_max: int) -> Any:
        content = bytearray()
        try:
            for part in self._client.stream(path):
                content += part
                if len(content) > bytes_max:
                    message = f"{self._url}{path} is larger than {bytes_max} bytes"
                    raise RoadError("kio-too-large", message, retryable=False)
                self._pace.check(f"{self._url}{path}")
        except Refused as exc:
            if path == "/apps" and exc.status not in _RETRIED:
                fix = "set WHENCE_KIO_TOKEN or --kio-token-file" if exc.status in (401, 403) else ""
                raise RoadError(
                    "kio-refused", f"{self._url}{path}: HTTP {exc.status}", fix=fix, retryable=False
                ) from exc
            raise
        except WhenceError as exc:
            if exc.code == "answer-not-json":
                message = f"{self._url}{path} does not respond as a Kio: is the URL right?"
                raise RoadError("kio-not-json", message, retryable=False) from exc
            raise
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as exc:
            raise RoadError("kio-not-json", f"{self._url}{path} is not JSON: is this a Kio?", retryable=False) from exc


def _is_transient(exc: WhenceError) -> bool:
    if isinstance(exc, Refused):
        return exc.status in _RETRIED
    return isinstance(exc, RoadError) and exc.retryable
