"""The device flow (RFC 8628): the person confirms a code in a browser on any machine, and the command polls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from whence_aggregator.openid.metadata import is_safe_url
from whence_aggregator.openid.refusals import OAuthRefused, ProviderUnreachable, malformed
from whence_common.errors import RoadError

INTERVAL_SECONDS = 5.0
"""The interval if the provider states none (RFC 8628, 3.2)."""
SLOW_DOWN_SECONDS = 5.0
"""Added to the interval for all later polls at each `slow_down` (RFC 8628, 3.5)."""
_INTERVAL_SECONDS_MIN, _INTERVAL_SECONDS_MAX = 1.0, 60.0
_VALID_SECONDS_MAX = 1800.0
_CODE_CHARACTERS_MAX = 4096
_SHOWN_CHARACTERS_MAX = 64
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCode:
    """A provider's response to a device authorization request."""

    device_code: str = field(repr=False)
    user_code: str = field(repr=False)
    verification_uri: str
    verification_uri_complete: str | None = field(repr=False)
    valid_seconds: float
    interval_seconds: float

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> DeviceCode:
        """Parse the response. Raises RoadError."""
        device_code, user_code = document.get("device_code"), document.get("user_code")
        uri, complete = document.get("verification_uri"), document.get("verification_uri_complete")
        if not isinstance(device_code, str) or not 0 < len(device_code) <= _CODE_CHARACTERS_MAX:
            raise malformed("the response has no device_code")
        if not isinstance(user_code, str) or not 0 < len(user_code) <= _SHOWN_CHARACTERS_MAX:
            raise malformed("the response has no user_code")
        if not isinstance(uri, str) or not is_safe_url(uri):
            raise malformed("verification_uri is not an https URL")
        valid = _seconds(document, "expires_in", None)
        interval = _seconds(document, "interval", INTERVAL_SECONDS)
        return cls(
            device_code=device_code,
            user_code=user_code,
            verification_uri=uri,
            verification_uri_complete=complete if isinstance(complete, str) and is_safe_url(complete) else None,
            valid_seconds=min(valid, _VALID_SECONDS_MAX),
            interval_seconds=min(max(interval, _INTERVAL_SECONDS_MIN), _INTERVAL_SECONDS_MAX),
        )


def interval_after(error: OAuthRefused | ProviderUnreachable, interval_seconds: float) -> float:
    """Return the interval for all later polls. Raises the error if it ends the sign-in."""
    if isinstance(error, ProviderUnreachable):
        return min(interval_seconds * 2, _INTERVAL_SECONDS_MAX)
    if error.error == "authorization_pending":
        return interval_seconds
    if error.error == "slow_down":
        return interval_seconds + SLOW_DOWN_SECONDS
    if error.error == "access_denied":
        raise RoadError("sign-in-denied", "the sign-in was denied in the browser", fix="run whence login again")
    if error.error == "expired_token":
        raise _expired()
    raise error


def poll_until_confirmed(
    code: DeviceCode,
    poll: Callable[[], _Answer],
    *,
    pause: Callable[[float], None],
    clock: Callable[[], float],
) -> _Answer:
    """Wait and poll until the code is confirmed; return what `poll` returns. Raises RoadError.

    `poll` raises OAuthRefused or ProviderUnreachable while there is no token. `clock` returns monotonic seconds.
    """
    ends, interval = clock() + code.valid_seconds, code.interval_seconds
    while clock() + interval < ends:
        pause(interval)
        try:
            return poll()
        except (OAuthRefused, ProviderUnreachable) as exc:
            interval = interval_after(exc, interval)
    raise _expired()


def _expired() -> RoadError:
    message = "the code was not confirmed in time and has expired"
    return RoadError("sign-in-expired", message, fix="run whence login again")


def _seconds(document: Mapping[str, Any], name: str, default: float | None) -> float:
    value = document.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise malformed(f"{name} is not a number of seconds")
    return float(value)
