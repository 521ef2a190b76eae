"""Errors of an identity provider, as its client sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from whence_common.errors import RoadError, one_line

_ERROR_CHARACTERS_MAX = 60
_DESCRIPTION_CHARACTERS_MAX = 300
_SECRET_CHARACTERS_MIN = 8
_SECRETS = ("code", "code_verifier", "device_code", "refresh_token", "token", "client_secret")


class ProviderUnreachable(RoadError):
    """The provider did not answer, or answered with a failure of its own (HTTP 5xx, 429)."""


class OAuthRefused(RoadError):
    """The provider answered with an OAuth error (RFC 6749, 5.2); `error` is its code."""

    def __init__(self, issuer: str, error: str, description: str = "", *, fix: str = "") -> None:
        self.error = one_line(error, _ERROR_CHARACTERS_MAX)
        told = one_line(description, _DESCRIPTION_CHARACTERS_MAX)
        message = f"{issuer} refuses the sign-in: {self.error}" + (f", {told}" if told else "")
        super().__init__("sign-in-refused", message, fix=fix, retryable=False)


def malformed(what: str) -> RoadError:
    """Return the error for a response that does not follow the protocol."""
    return RoadError("sign-in-malformed", f"the identity provider's response is unusable: {what}", retryable=False)


def refusal(issuer: str, status: int, document: Mapping[str, Any], form: Mapping[str, str]) -> RoadError:
    """Return the error for a response to a form whose status is not 200; no secret of the form is in it."""
    if status >= 500 or status == 429:
        return ProviderUnreachable("sign-in-unavailable", f"{issuer} fails with HTTP status {status}")
    if 300 <= status < 400:
        return malformed("it redirects, which is not followed")
    error, told = document.get("error"), document.get("error_description", "")
    return OAuthRefused(
        issuer,
        _without_secrets(error, form) if isinstance(error, str) else f"HTTP status {status}",
        _without_secrets(told, form) if isinstance(told, str) else "",
    )


def _without_secrets(text: str, form: Mapping[str, str]) -> str:
    """Return a provider's text without the secrets of the request, which it may repeat."""
    for name in _SECRETS:
        if len(form.get(name, "")) >= _SECRET_CHARACTERS_MIN:
            text = text.replace(form[name], "…")
    return text
