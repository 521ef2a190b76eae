"""One JSON line an event on standard error: constant message, values as fields."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from whence_common.clock import to_instant
from whence_common.visible import visible_json

_FIELDS = "whence_fields"


class JsonLines(logging.Formatter):
    """Format an event as one JSON object a line; `scrub` takes out what must not be said."""

    def __init__(self, scrub: Callable[[str], str]) -> None:
        super().__init__()
        self._scrub = scrub

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {
            "time": to_instant(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        event.update(getattr(record, _FIELDS, {}))
        if _is_no_http(record):
            event |= {"level": "info", "event": "a request that is no HTTP was refused"}
        elif record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        text = visible_json(event, default=str)
        return self._scrub(text.encode("utf-8", "backslashreplace").decode())  # half characters come from outside


def _is_no_http(record: logging.LogRecord) -> bool:
    """Say whether aiohttp's server tells of bytes that it cannot read: a caller's fault, and nothing to trace."""
    kind = record.exc_info[0] if record.exc_info else None
    return record.name == "aiohttp.server" and kind is not None and kind.__module__ == "aiohttp.http_exceptions"


def fields(**values: object) -> dict[str, Any]:
    """Give values to an event: `log.info("statement accepted", extra=fields(instance=…))`."""
    return {_FIELDS: values}


def set_up(*, verbose: bool, scrub: Callable[[str], str] = str) -> None:
    """Send this process's events to standard error. Called by a program's `cli`, once."""
    sink = logging.StreamHandler(sys.stderr)
    sink.setFormatter(JsonLines(scrub))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[sink], force=True)
    for chatty in ("aiohttp.access", "aiobotocore", "botocore", "urllib3", "docker", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
