"""A bundle as a log: it is verified as a whole first, and each entry again when it is read."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from whence_aggregator.ledger.log_reader import Stored
from whence_aggregator.ports import NotFound
from whence_common.evidence_bundle import LINE_BYTES_MAX, BundleInvalid, Line, check
from whence_common.identity_document import Authorities
from whence_common.ledger_entry import kind_of, leaf_data
from whence_common.log_policy import Policy
from whence_common.merkle import leaf_hash


class BundleFile:
    """The entries of a verified bundle. Only their places in the file are kept in memory."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._places: dict[int, tuple[int, bytes]] = {}
        """By index: where the line begins, and the hash of the entry's leaf."""
        self._clocks: list[int] = []
        self._line_at = 0

    @classmethod
    def verified(cls, path: Path, policy: Policy, authorities: Authorities) -> Self:
        """Open a bundle and verify it. Raises InputError and OSError."""
        found = cls(path.open("rb"))
        try:
            check(found._lines(), policy, authorities, taken=found._take)
        except BaseException:
            found._stream.close()
            raise
        found._clocks.sort()
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stream.close()

    async def entry(self, index: int) -> Stored:
        """Return an entry; without content where the bundle has only its hash. Raises NotFound and BundleInvalid."""
        if index not in self._places:
            raise NotFound("entry-unknown", f"the bundle has no entry {index}: fetch one of a longer period")
        place, leaf = self._places[index]
        self._stream.seek(place)
        line = msgspec.json.decode(self._stream.readline(LINE_BYTES_MAX + 2), type=Line)
        if line.content is None:
            return Stored(index, "", None)
        content = line.content.encode()
        if leaf_hash(leaf_data(content)) != leaf:
            raise BundleInvalid("the file changed while it was read", index)
        return Stored(index, kind_of(content)[0], content)

    async def clocks(self, indexes: Collection[int]) -> Collection[int]:
        """Return the indexes of the clock entries by which these entries were recorded."""
        places = {bisect_right(self._clocks, one) for one in indexes}
        return {self._clocks[one - 1] for one in places if one}

    def _lines(self) -> Iterator[bytes]:
        while line := self._stream.readline(LINE_BYTES_MAX + 2):
            yield line
            self._line_at += len(line)

    def _take(self, index: int, leaf: bytes, content: bytes | None) -> None:
        self._places[index] = self._line_at, leaf
        if content is not None and kind_of(content)[0] == "clock":
            self._clocks.append(index)
