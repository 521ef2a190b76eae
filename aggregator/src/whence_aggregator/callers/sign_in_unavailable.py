"""A check that cannot be made now: nobody passes for that."""

from __future__ import annotations

from whence_aggregator.ports import SourceUnavailable


class SignInUnavailable(SourceUnavailable):
    """The service that states who callers are does not answer; 503, and never a pass."""
