"""The error of a token check that cannot be made, which denies."""

from __future__ import annotations

from whence_aggregator.ports import SourceUnavailable


class SignInUnavailable(SourceUnavailable):
    """A service that authenticates callers is unavailable: the request is refused with 503."""
