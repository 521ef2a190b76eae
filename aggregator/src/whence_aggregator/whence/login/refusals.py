"""Errors of an identity provider, as the command sees them."""

from __future__ import annotations

from whence_common.errors import RoadError, one_line

_ERROR_CHARACTERS_MAX = 60
_DESCRIPTION_CHARACTERS_MAX = 300


class ProviderUnreachable(RoadError):
    """The provider did not answer, or answered with a failure of its own (HTTP 5xx, 429)."""


class ProviderRefused(RoadError):
    """The provider answered with an OAuth error (RFC 6749, 5.2); `error` is its code."""

    def __init__(self, issuer: str, error: str, description: str = "", *, fix: str = "") -> None:
        self.error = one_line(error, _ERROR_CHARACTERS_MAX)
        told = one_line(description, _DESCRIPTION_CHARACTERS_MAX)
        message = f"{issuer} refuses the sign-in: {self.error}" + (f", {told}" if told else "")
        super().__init__("sign-in-refused", message, fix=fix, retryable=False)


def malformed(what: str) -> RoadError:
    """Return the error for a response that does not follow the protocol."""
    return RoadError("sign-in-malformed", f"the identity provider's response is unusable: {what}", retryable=False)
