"""Bounds the number of concurrent long answers and transfers, by caller and by address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from whence_aggregator.callers.shares import Shares
from whence_aggregator.http.client_address import limited_address
from whence_aggregator.http.connections import CONNECTION
from whence_aggregator.http.refused import RefusedKind
from whence_aggregator.ports import Overloaded

STREAMS_AT_ONCE_MAX = 64
_CALLER_FACTOR = 0.5
"""One caller may use at most half of its address's share, so that a fleet behind one address has the rest."""
_RETRY_SECONDS = 5.0


class Slots:
    """At most `total` slots in use."""

    def __init__(self, kind: RefusedKind, total: int) -> None:
        self._kind = kind
        self._shares = Shares(total)

    @contextmanager
    def take(self, request: web.BaseRequest, caller: str) -> Iterator[None]:
        """Hold a slot for the block's duration. Raises Overloaded, which names the share that is used up."""
        address = limited_address(request)
        names = {f"address {address}": 1.0} | ({f"caller {caller}": _CALLER_FACTOR} if caller else {})
        against = self._shares.claim(names)
        if against is not None:
            if (connection := request.get(CONNECTION)) is not None:
                connection.refuse(self._kind)
            whose = f"from {against}" if against else "at once"
            raise Overloaded(
                f"{self._kind}-limited", f"too many {self._kind} {whose}", retry_after_seconds=_RETRY_SECONDS
            )
        try:
            yield
        finally:
            self._shares.release(names)
