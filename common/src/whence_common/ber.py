"""A strict reader for the subset of BER that AWS uses for signatures: DER, and indefinite lengths.

Input size, depth and node count are bounded. Multi-byte tags, lengths over four octets and overruns are refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from whence_common.errors import InputError

INPUT_BYTES_MAX = 16 * 1024
DEPTH_MAX = 16
NODES_MAX = 1_000
_CONSTRUCTED = 0x20


class BerInvalid(InputError):
    """The bytes are not in the accepted subset of BER."""

    def __init__(self, message: str) -> None:
        super().__init__("cms-ber", message)


@dataclass(frozen=True, slots=True)
class Element:
    """One tag with its contents: `content` for a primitive, `children` for a constructed one."""

    tag: int
    content: bytes
    children: tuple[Element, ...]

    @property
    def constructed(self) -> bool:
        return bool(self.tag & _CONSTRUCTED)

    def encode(self, *, tag: int | None = None) -> bytes:
        """Encode with definite lengths, as DER does; `tag` replaces the outermost one."""
        body = b"".join(child.encode() for child in self.children) if self.constructed else self.content
        return bytes([self.tag if tag is None else tag]) + _length(len(body)) + body


def read(content: bytes) -> Element:
    """Read exactly one element. Raises BerInvalid, also for trailing bytes."""
    if len(content) > INPUT_BYTES_MAX:
        raise BerInvalid(f"larger than {INPUT_BYTES_MAX} bytes")
    reader = _Reader(content)
    element = reader.element(len(content), 0)
    if reader.at != len(content):
        raise BerInvalid("bytes follow the outermost element")
    return element


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self.at = 0
        self._nodes = 0

    def element(self, end: int, depth: int) -> Element:
        self._nodes += 1
        if depth > DEPTH_MAX or self._nodes > NODES_MAX:
            raise BerInvalid(f"nested deeper than {DEPTH_MAX} levels, or more than {NODES_MAX} elements")
        tag = self._byte(end)
        if tag & 0x1F == 0x1F:
            raise BerInvalid("a tag has several octets")
        first = self._byte(end)
        if first == 0x80:
            if not tag & _CONSTRUCTED:
                raise BerInvalid("a primitive element has an indefinite length")
            return Element(tag, b"", self._until_end_of_contents(end, depth))
        length = first if first < 0x80 else self._long_length(first, end)
        stop = self.at + length
        if stop > end:
            raise BerInvalid("a length runs past its container")
        if not tag & _CONSTRUCTED:
            content, self.at = self._content[self.at : stop], stop
            return Element(tag, content, ())
        children = []
        while self.at < stop:
            children.append(self.element(stop, depth + 1))
        return Element(tag, b"", tuple(children))

    def _until_end_of_contents(self, end: int, depth: int) -> tuple[Element, ...]:
        children = []
        while self._content[self.at : self.at + 2] != b"\x00\x00":
            children.append(self.element(end, depth + 1))
        if self.at + 2 > end:
            raise BerInvalid("the end of contents runs past its container")
        self.at += 2
        return tuple(children)

    def _long_length(self, first: int, end: int) -> int:
        octets = first & 0x7F
        if octets > 4:
            raise BerInvalid("a length has more than four octets")
        length = 0
        for _ in range(octets):
            length = length << 8 | self._byte(end)
        return length

    def _byte(self, end: int) -> int:
        if self.at >= end:
            raise BerInvalid("ends in the middle of an element")
        byte = self._content[self.at]
        self.at += 1
        return byte


def _length(length: int) -> bytes:
    if length < 0x80:
        return bytes([length])
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets
