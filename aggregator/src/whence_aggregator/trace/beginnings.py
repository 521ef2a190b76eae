"""Keys that begin with some characters: ids of instances, and digests of images, layers, user data and entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from whence_aggregator.ports import Database
from whence_aggregator.queries.query import together
from whence_aggregator.queries.trace import (
    IMAGES_BEGINNING,
    INSTANCES_BEGINNING,
    LAYERS_BEGINNING,
    PUSHED_BEGINNING,
    SIDECARS_BEGINNING,
    USER_DATA_BEGINNING,
    ImagesBeginningParameters,
)
from whence_aggregator.trace.found_rows import values

BegunKind = Literal["instance", "image", "layer", "user_data", "entry"]
_AFTER_HEX = "g"
"""Sorts after every hex digit, in any collation."""


class DigestReader(Protocol):
    """The log."""

    async def beginning(self, prefix: str, *, limit: int) -> list[tuple[int, str]]:
        """Return index and digest of entries whose digest begins so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A key that begins so. `ledger_index` is that of an entry; None for other kinds."""

    kind: BegunKind
    value: str
    ledger_index: int | None = None


class Beginnings:
    """Finds keys by their beginnings, each kind by the index that its keys have."""

    def __init__(self, *, database: Database, log: DigestReader) -> None:
        self._database = database
        self._log = log

    async def find(self, prefix: str, *, limit: int) -> tuple[list[Begun], bool]:
        """Return at most `limit` keys of each kind, and whether there are more.

        `prefix` is the beginning of an id, `i-` and hex digits, or of a digest, `sha256:` and hex digits.
        """
        asked: ImagesBeginningParameters = {"first": prefix, "last": prefix + _AFTER_HEX, "limit": limit + 1}
        found: dict[BegunKind, Sequence[str]] = {}
        if prefix.startswith("i-"):
            found["instance"] = values(await self._database.fetch(INSTANCES_BEGINNING.bind({**asked})))
            return _cut(found, [], limit)
        images, sidecars, pushed, layers, user_data = await self._database.fetch_all(
            together(
                IMAGES_BEGINNING.bind(asked), SIDECARS_BEGINNING.bind({**asked}), PUSHED_BEGINNING.bind({**asked}),
                LAYERS_BEGINNING.bind({**asked}), USER_DATA_BEGINNING.bind({**asked}),
            ),
            brief=True,
        )  # fmt: skip
        found["image"] = sorted({*values(images), *values(sidecars), *values(pushed)})
        found["layer"], found["user_data"] = values(layers), values(user_data)
        return _cut(found, await self._log.beginning(prefix, limit=limit + 1), limit)


def _cut(
    found: dict[BegunKind, Sequence[str]], entries: Sequence[tuple[int, str]], limit: int
) -> tuple[list[Begun], bool]:
    keys = [Begun(kind=kind, value=one) for kind, some in found.items() for one in some[:limit]]
    keys += [Begun(kind="entry", value=digest, ledger_index=index) for index, digest in entries[:limit]]
    return keys, any(len(some) > limit for some in (*found.values(), entries))
