"""whence-agent status: print the status of the running agent."""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping

from whence_agent.commands.files import read_settings
from whence_common.visible import printable, visible_json

_ANSWER_BYTES_MAX = 1024 * 1024
_EXIT_OF_STATE = {"ok": 0, "failed": 1, "degraded": 2, "booting": 2}
_USAGE = 64


def status(config: str, *, url: str | None, wait: bool, timeout: float, whole: bool) -> int:
    """Print the status, or first wait for the boot's end; return 0 ok, 1 failed or unreachable, 2 otherwise."""
    if url is None:
        settings = read_settings(config)
        if settings is None:
            return 1
        host = "127.0.0.1" if settings.status_address == "0.0.0.0" else settings.status_address  # noqa: S104 - compared
        url = f"http://{host}:{settings.status_port}"
    if not url.startswith(("http://", "https://")):
        print(f"whence-agent: {url!r} is not an http URL", file=sys.stderr)
        return _USAGE
    ends = time.monotonic() + timeout
    while True:
        document = _ask(url.rstrip("/") + "/status")
        settled = document is not None and _is_settled(document)
        if not wait or settled or time.monotonic() >= ends:
            break
        time.sleep(min(0.3, max(0.0, ends - time.monotonic())))
    if document is None:
        message = f"the agent at {url} is unreachable; check systemctl status whence-agent"
        print(f"whence-agent: {message}", file=sys.stderr)
        return 1
    if whole:
        print(visible_json(document, indent=2))
    else:
        reasons = document["reasons"]
        assert isinstance(reasons, list)
        print("\n".join([printable(document["state"]), *(f"  {printable(reason)}" for reason in reasons)]))
        print(f"  what to do: {printable(document['what_to_do'])}")
    return _EXIT_OF_STATE.get(str(document["state"]), 2)


def _is_settled(document: Mapping[str, object]) -> bool:
    """Return whether the boot has ended: successfully, or in a failure without another try."""
    state = document["state"]
    return state == "ok" or (state == "failed" and document.get("next_try_at") is None)


def _ask(url: str) -> dict[str, object] | None:
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # requests to the agent never use a proxy
        with opener.open(url, timeout=5) as answer:
            document = json.loads(answer.read(_ANSWER_BYTES_MAX))
    except (urllib.error.URLError, OSError, ValueError):
        return None
    return document if isinstance(document, dict) and "state" in document else None
