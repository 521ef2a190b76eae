"""A cache of bases, the entries that an instance's statements are packed against, for the instances used last."""

from __future__ import annotations

from collections import OrderedDict

_BASES_BYTES_MAX = 32 * 1024 * 1024


class BaseLayouts:
    """Layouts of bases by instance number: least recently used ones are dropped, by a bound in bytes."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, tuple[int, bytes]] = OrderedDict()
        self._bytes = 0

    def __contains__(self, number: int) -> bool:
        return number in self._known

    def layout(self, number: int | None) -> bytes | None:
        """Return the layout that an instance's next statement will be packed against; None when it is not cached."""
        found = self._known.get(number) if number is not None else None
        return found[1] if found is not None else None

    def get(self, number: int) -> tuple[int, bytes] | None:
        found = self._known.get(number)
        if found is not None:
            self._known.move_to_end(number)
        return found

    def put(self, number: int, index: int, layout: bytes) -> None:
        replaced = self._known.pop(number, None)
        self._bytes += len(layout) - (len(replaced[1]) if replaced is not None else 0)
        self._known[number] = index, layout
        while self._bytes > _BASES_BYTES_MAX:
            _, (_, dropped) = self._known.popitem(last=False)
            self._bytes -= len(dropped)

    def clear(self) -> None:
        self._known.clear()
        self._bytes = 0
