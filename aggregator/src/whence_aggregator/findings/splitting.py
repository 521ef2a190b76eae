"""Splits a stream of JSON into its findings without holding it: an array, one object, or an object a line. Pure.

Only brackets and strings are looked at here; each part is decoded by itself later, so one that is broken does not lose
the others. Nothing recurses, every part is bounded, and each byte is looked at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from whence_aggregator.findings.finding import FileRefused

FINDING_BYTES_MAX = 512 * 1024
"""Of one element of an array."""
DOCUMENT_BYTES_MAX = 32 * 1024 * 1024
"""Of one object that stands by itself: it may hold all findings of a file, as SARIF's does."""
CONTAINERS_MAX = 500_000
"""Of objects and arrays in one part: decoded, each takes a hundred times the memory of its bytes."""
DEPTH_MAX = 64
_DEPTH_SKIPPED_MAX = 1_000
"""How deep a finding that is refused for its depth is still skipped, so that those after it are read."""
_SPACE = re.compile(rb"[ \t\r\n]*+")
_INSIDE = re.compile(rb'[^"{}\[\]]*+(?:"(?:[^"\\]++|\\.)*+"[^"{}\[\]]*+)*+', re.DOTALL)
"""All up to the next bracket, or up to a string that does not end yet."""
_STRING = re.compile(rb"(?:[^\"\\]++|\\.)*+", re.DOTALL)
_SCALAR = re.compile(rb"[^ \t\r\n,\[\]{}\"]++")
_MARK = b"\xef\xbb\xbf"
_OPEN, _CLOSE, _QUOTE, _COMMA = b"{[", b"}]", 0x22, 0x2C


@dataclass(frozen=True, slots=True)
class JsonPart:
    """An element of an array, or an object, which begins at the byte `at`; `problem` is why it has no content."""

    at: int
    content: bytes
    problem: str = ""


class Splitter:
    """Splits what is fed to it. `ended` states whether the file is whole once everything was fed."""

    def __init__(self) -> None:
        self._left = bytearray()
        self._before = 0
        """Bytes that are not held any more."""
        self._position = 0
        self._mode: Literal["start", "array", "objects", "over"] = "start"
        self._depth = 0
        """Of brackets that are open in the present part; 0 between parts."""
        self._containers = 0
        """Of brackets that were opened in the present part."""
        self._begun = -1
        """Where the present part begins in what is held; -1 between parts, and while one that is refused is skipped."""
        self._at = 0
        self._problem = ""
        self._in_string = False
        self._in_part = False
        self._after_part = False

    @property
    def ended(self) -> bool:
        """Return whether no array or part is open."""
        return self._mode == "over" or (self._mode == "objects" and not self._in_part)

    def feed(self, chunk: bytes) -> Iterator[JsonPart]:
        """Yield the parts that end in what was fed so far. Raises FileRefused where it is not JSON of this form."""
        self._left += chunk
        while (part := self._step()) is not None:
            if isinstance(part, JsonPart):
                yield part
        self._forget()

    def _step(self) -> JsonPart | bool | None:
        """Take one step; return a part that ended with it, True to go on, or None when more bytes are needed."""
        if self._in_part:
            return self._inside()
        end = self._space()
        if self._position >= end:
            return None
        return self._between(self._left[self._position])

    def _space(self) -> int:
        if self._mode == "start" and self._position == 0 and self._before == 0:
            if _MARK.startswith(bytes(self._left[:3])) and len(self._left) < len(_MARK):
                return 0
            if self._left.startswith(_MARK):
                self._position = len(_MARK)
        found = _SPACE.match(self._left, self._position)
        assert found is not None
        self._position = found.end()
        return len(self._left)

    def _between(self, byte: int) -> JsonPart | bool | None:
        if self._mode == "start":
            if byte not in _OPEN:
                raise FileRefused("findings-not-json", "the file begins with neither { nor [: it is not JSON")
            self._mode = "array" if byte == _OPEN[1] else "objects"
            if self._mode == "array":
                self._position += 1
                return True
        if self._mode == "over":
            raise self._broken("more follows after the end of the array")
        if self._mode == "objects":
            if byte != _OPEN[0]:
                raise self._broken("an object was expected")
            return self._begin()
        if byte == _CLOSE[1]:
            self._mode = "over"
            self._position += 1
            return True
        if byte == _COMMA:
            if not self._after_part:
                raise self._broken("a finding was expected before the comma")
            self._after_part = False
            self._position += 1
            return True
        if self._after_part:
            raise self._broken("a comma or the end of the array was expected")
        return self._scalar() if byte not in _OPEN else self._begin()

    def _begin(self) -> bool:
        self._in_part, self._begun, self._at, self._problem = True, self._position, self._before + self._position, ""
        self._depth = self._containers = 0
        return True

    def _scalar(self) -> JsonPart | bool | None:
        """Take an element that is neither object nor array, which no finding is."""
        self._at = self._before + self._position
        if self._left[self._position] == _QUOTE:
            self._in_part, self._in_string, self._begun = True, True, -1
            self._problem, self._depth = "it is not an object", 0
            self._position += 1
            return self._inside()
        found = _SCALAR.match(self._left, self._position)
        if found is None:
            raise self._broken("a finding was expected")
        if found.end() - found.start() > 100:
            raise self._broken("this is not JSON")
        if found.end() == len(self._left):
            return None
        self._position, self._after_part = found.end(), True
        return JsonPart(self._at, b"", "it is not an object")

    def _inside(self) -> JsonPart | bool | None:
        held = self._left
        if self._in_string:
            found = _STRING.match(held, self._position)
            assert found is not None
            self._position = found.end()
            self._bound()
            if self._position >= len(held) or held[self._position] != _QUOTE:
                return None  # more of the string, or what a backslash at the end escapes
            self._position += 1
            self._in_string = False
            return self._end() if self._depth == 0 else True
        found = _INSIDE.match(held, self._position)
        assert found is not None
        self._position = found.end()
        self._bound()
        if self._position >= len(held):
            return None
        byte = held[self._position]
        self._position += 1
        if byte == _QUOTE:
            self._in_string = True
        elif byte in _OPEN:
            self._depth += 1
            self._containers += 1
            if self._containers > CONTAINERS_MAX:
                raise self._broken(
                    f"one part has more than {CONTAINERS_MAX} objects and arrays: send an array of findings"
                )
            if self._depth > _DEPTH_SKIPPED_MAX:
                raise self._broken(f"nested deeper than {_DEPTH_SKIPPED_MAX} levels")
            if self._depth > DEPTH_MAX:
                self._refuse(f"it is nested deeper than {DEPTH_MAX} levels")
        else:
            self._depth -= 1
            if self._depth == 0:
                return self._end()
        return True

    def _bound(self) -> None:
        most = FINDING_BYTES_MAX if self._mode == "array" else DOCUMENT_BYTES_MAX
        size = self._before + self._position - self._at
        if size > DOCUMENT_BYTES_MAX:
            raise self._broken(f"one part has more than {DOCUMENT_BYTES_MAX} bytes: send an array of findings")
        if size > most:
            self._refuse(f"it has more than {most} bytes")

    def _refuse(self, problem: str) -> None:
        """Skip the rest of the present part, which is not held any more."""
        self._problem, self._begun = self._problem or problem, -1

    def _end(self) -> JsonPart:
        content = bytes(self._left[self._begun : self._position]) if self._begun >= 0 else b""
        self._in_part, self._begun, self._after_part = False, -1, True
        return JsonPart(self._at, content, self._problem)

    def _forget(self) -> None:
        """Drop what was looked at and belongs to no part that is being held."""
        until = self._begun if self._begun >= 0 else self._position
        if until:
            del self._left[:until]
            self._before += until
            self._position -= until
            self._begun -= until if self._begun >= 0 else 0

    def _broken(self, what: str) -> FileRefused:
        return FileRefused("findings-malformed", f"byte {self._before + self._position}: {what}")
