"""Counts, for `/metrics`, of connections and requests that a server refused to protect itself."""

from __future__ import annotations

from collections import Counter
from typing import Literal, get_args

from whence_common.open_metrics import Family, Sample

RefusedKind = Literal[
    "connections", "silent", "slow-reader", "held-bytes", "early-bytes", "unfinished-close", "slow-body", "transfers",
    "streams", "proxy-header",
]  # fmt: skip
REFUSED_KINDS: tuple[RefusedKind, ...] = get_args(RefusedKind)


class RefusedCounts:
    """Counts since the start of the process, by kind."""

    def __init__(self) -> None:
        self._counts: Counter[RefusedKind] = Counter()

    def add(self, kind: RefusedKind) -> None:
        self._counts[kind] += 1

    def all(self) -> dict[RefusedKind, int]:
        """Return every kind, also those without a refusal."""
        return {kind: self._counts[kind] for kind in REFUSED_KINDS}

    def family(self) -> Family:
        """Return them as a metric."""
        samples = tuple(Sample(float(count), {"kind": kind}) for kind, count in self.all().items())
        return Family(
            name="whence_refused", kind="counter", help="What the server refused to protect itself.", samples=samples
        )
