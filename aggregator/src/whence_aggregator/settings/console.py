"""The settings of the console."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from whence_common.image_reference import is_loopback_registry

_HOUR_SECONDS = 3600.0
_SESSION_SECONDS_MAX = 7 * 24 * _HOUR_SECONDS


class ConsoleSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The console's address and sessions."""

    url: str = ""
    """The address that browsers use, without a path: https, or http on loopback; empty: the audience."""
    session_seconds_max: float = 12 * _HOUR_SECONDS
    """How long a session lasts at most; it ends with its token, if that expires earlier."""


def console_of(console: bool | ConsoleSettings) -> ConsoleSettings | None:
    """Return the settings of the console; None if it is off."""
    if isinstance(console, bool):
        return ConsoleSettings() if console else None
    return console


def wrong_in_console(stated: bool | ConsoleSettings, audience: str) -> list[str]:
    """Return what is wrong with the settings of the console."""
    console, wrong = console_of(stated), list[str]()
    if console is None:
        return wrong
    if origin_of(console, audience) is None:
        named = "console.url" if console.url else "console: the audience"
        wrong.append(
            f"{named} is not the address of a website: set console.url to https://HOST, or http://127.0.0.1:PORT"
        )
    if not 60 <= console.session_seconds_max <= _SESSION_SECONDS_MAX:
        wrong.append(f"console.session_seconds_max must be from 60 to {_SESSION_SECONDS_MAX:g}")
    return wrong


def origin_of(console: ConsoleSettings, audience: str) -> str | None:
    """Return the origin of the console's address, as browsers write it; None if it is not one."""
    parts = urlsplit(console.url or audience)
    if not parts.hostname or parts.username is not None or parts.path.strip("/") or parts.query or parts.fragment:
        return None
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback_registry(parts.netloc)):
        standing = {"https": 443, "http": 80}[parts.scheme]
        return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port not in (None, standing) else "")
    return None
