"""Logs as JSON lines on standard error: a constant message, values as fields; bounded in length and number."""

from __future__ import annotations

import logging
import ssl
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TextIO

from whence_common.clock import to_instant
from whence_common.runtime.log_bounds import LogBounds, LogSampling
from whence_common.visible import visible_json

_FIELDS = "whence_fields"
_VALUE_CHARACTERS_MAX = 512
_EXCEPTION_CHARACTERS_MAX = 8 * 1024
_FROM_NETWORK = ("aiohttp.server", "asyncio")
"""Loggers of libraries whose events clients on the network can cause."""


class JsonLines(logging.Formatter):
    """Format an event as one JSON object per line; `scrub` removes secrets."""

    def __init__(self, scrub: Callable[[str], str]) -> None:
        super().__init__()
        self._scrub = scrub

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {
            "time": to_instant(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _cut(record.getMessage(), _VALUE_CHARACTERS_MAX),
        }
        values = _fields_of(record).items()
        event |= {f"{name}_" if name in event else name: _bounded(value) for name, value in values}
        if _is_not_http(record):
            event |= {"level": "info", "event": "a request that is not HTTP was refused", **_peer(record)}
        elif _is_broken_off(record):
            event |= {"level": "info", "event": "a connection broke off", "reason": type(_error(record)).__name__}
        elif record.exc_info:
            event["exception"] = _cut(self.formatException(record.exc_info), _EXCEPTION_CHARACTERS_MAX)
        text = visible_json(event, default=str)
        return self._scrub(text.encode("utf-8", "backslashreplace").decode())  # values may have lone surrogates


class BoundedStream(logging.StreamHandler[TextIO]):
    """Writes events; those that clients can cause are limited, and one line reports how many were suppressed."""

    def __init__(
        self, stream: TextIO, *, bounds: LogBounds | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(stream)
        self._sampling = LogSampling(bounds or LogBounds(), clock)

    def emit(self, record: logging.LogRecord) -> None:
        if _is_by_clients(record):
            address = str(_fields_of(record).get("address", "") or _peer(record).get("address", ""))
            if not self._sampling.passes(f"{record.name}: {record.msg}", address):
                return self.report_suppressed()
        super().emit(record)
        return self.report_suppressed()

    def report_suppressed(self, *, at_once: bool = False) -> None:
        """Log how many events were suppressed, if a report is due."""
        for one in self._sampling.take_suppressed(at_once=at_once):
            record = logging.makeLogRecord({"name": __name__, "msg": "events suppressed", "levelno": logging.WARNING})
            record.levelname = "WARNING"
            record.__dict__.update(fields(kind=one.kind, events=one.events, addresses=one.addresses))
            super().emit(record)


def report_suppressed(*, at_once: bool = False) -> None:
    """Log how many events were suppressed. Call it periodically: no event may follow a flood."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, BoundedStream):
            handler.report_suppressed(at_once=at_once)


def fields(**values: object) -> dict[str, Any]:
    """Return `extra` with an event's values: `log.info("statement accepted", extra=fields(instance=…))`.

    `address` is the client's: events with it are limited for each address.
    """
    return {_FIELDS: values}


def set_up(*, verbose: bool, scrub: Callable[[str], str] = str) -> None:
    """Log this process's events to standard error. A program's `cli` calls it once."""
    sink = BoundedStream(sys.stderr)
    sink.setFormatter(JsonLines(scrub))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[sink], force=True)
    for chatty in ("aiohttp.access", "aiobotocore", "botocore", "urllib3", "docker", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def take_down() -> None:
    """Log no events of this process any more: standard error may be closed before the process ends, as in tests."""
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, BoundedStream)]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(logging.WARNING)


def _fields_of(record: logging.LogRecord) -> dict[str, Any]:
    found: dict[str, Any] = getattr(record, _FIELDS, {})
    return found


def _is_by_clients(record: logging.LogRecord) -> bool:
    """Return whether clients can cause events of this kind at will."""
    return "address" in _fields_of(record) or record.name in _FROM_NETWORK or record.levelno >= logging.WARNING


def _error(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


def _is_not_http(record: logging.LogRecord) -> bool:
    """Return whether aiohttp's server reports an invalid HTTP request: a client's error, logged without a traceback."""
    kind = record.exc_info[0] if record.exc_info else None
    return record.name == "aiohttp.server" and kind is not None and kind.__module__ == "aiohttp.http_exceptions"


def _is_broken_off(record: logging.LogRecord) -> bool:
    """Return whether a library reports a lost connection: a failed TLS handshake, a reset, a timeout."""
    return record.name in _FROM_NETWORK and isinstance(_error(record), (ssl.SSLError, ConnectionError, TimeoutError))


def _peer(record: logging.LogRecord) -> dict[str, str]:
    """Return the address that aiohttp's server names in its message."""
    named = record.name == "aiohttp.server" and isinstance(record.args, tuple) and len(record.args) == 1
    return {"address": str(record.args[0])} if named and isinstance(record.args, tuple) else {}


def _bounded(value: object) -> object:
    return _cut(value, _VALUE_CHARACTERS_MAX) if isinstance(value, str) else value


def _cut(text: str, characters_max: int) -> str:
    return text if len(text) <= characters_max else f"{text[:characters_max]}… ({len(text)} characters)"
