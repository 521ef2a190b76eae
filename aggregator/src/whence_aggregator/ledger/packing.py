"""How entries are packed: base64 is decoded, then zstd compresses against similar text. Unpacking is exact.

A packed entry is one octet for its form, then zstd's frame without its magic. Unpacked, that is the entry's layout:
varints (the number of base64 runs; for each, its position in the rest and its number of octets), the rest of the text,
the octets. Statements of an instance are similar: each is packed against an earlier one, its base.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from importlib import resources

import zstandard

from whence_common.errors import InputError

UNPACKED_BYTES_MAX = 1024 * 1024
_PLAIN, _DICTIONARY, _BASE = 0, 1, 2
_RUN_BYTES_MIN = 88
_LONG = re.compile(b'"[^"]{%d}' % _RUN_BYTES_MIN)
"""The beginning of a text between quotes that may be a run: few texts are as long."""
_RUNS_MAX = 100
_SMALL_BYTES_MAX = 8 * 1024
_LEVEL = 3
_DELTA_BYTES_MAX = 600
"""An entry whose delta is larger than this is not packed against its base."""


class EntryDamaged(InputError):
    """The stored bytes are not those that were packed."""

    def __init__(self, message: str) -> None:
        fix = "run `whence-aggregator ledger check`, which names the entry; restore the database"
        super().__init__("entry-damaged", message, fix=fix)


def _parameters(window_log: int) -> zstandard.ZstdCompressionParameters:
    return zstandard.ZstdCompressionParameters.from_level(
        1, window_log=window_log, hash_log=min(window_log, 15), format=zstandard.FORMAT_ZSTD1_MAGICLESS,
        write_checksum=False, write_dict_id=False, write_content_size=True,
    )  # fmt: skip


_SMALL, _LARGE = _parameters(15), _parameters(20)
_TEXT = (resources.files("whence_aggregator.ledger") / "dictionary.txt").read_bytes()
_STATIC = zstandard.ZstdCompressionDict(_TEXT, dict_type=zstandard.DICT_TYPE_RAWCONTENT)


class Packer:
    """Packs and unpacks entries. It is not thread-safe."""

    def __init__(self) -> None:
        parameters = zstandard.ZstdCompressionParameters.from_level(
            _LEVEL, format=zstandard.FORMAT_ZSTD1_MAGICLESS, write_checksum=False, write_dict_id=False,
            write_content_size=True,
        )  # fmt: skip
        self._compressor = zstandard.ZstdCompressor(dict_data=_STATIC, compression_params=parameters)
        self._decompressor = zstandard.ZstdDecompressor(dict_data=_STATIC, format=zstandard.FORMAT_ZSTD1_MAGICLESS)

    def pack(self, layout: bytes) -> bytes:
        """Return an entry's layout packed without a base."""
        return bytes([_DICTIONARY]) + self._compressor.compress(layout)

    def delta(self, layout: bytes, base: bytes) -> bytes | None:
        """Return an entry's layout packed against the layout of its base; None when they differ too much."""
        parameters = _SMALL if len(layout) + len(base) <= 2 * _SMALL_BYTES_MAX else _LARGE
        dictionary = zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
        compressor = zstandard.ZstdCompressor(dict_data=dictionary, compression_params=parameters)
        delta = bytes([_BASE]) + compressor.compress(layout)
        return delta if len(delta) <= _DELTA_BYTES_MAX else None

    def layout(self, packed: bytes, base: bytes | None = None) -> bytes:
        """Return the layout of a packed entry; `base` is the layout of its base. Raises EntryDamaged."""
        packed = bytes(packed)
        try:
            if packed[:1] == bytes([_DICTIONARY]):
                return self._decompressor.decompress(packed[1:], max_output_size=UNPACKED_BYTES_MAX)
            if packed[:1] == bytes([_BASE]) and base is not None:
                dictionary = zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
                one = zstandard.ZstdDecompressor(dict_data=dictionary, format=zstandard.FORMAT_ZSTD1_MAGICLESS)
                return one.decompress(packed[1:], max_output_size=UNPACKED_BYTES_MAX)
        except zstandard.ZstdError as exc:
            raise EntryDamaged("an entry cannot be unpacked") from exc
        raise EntryDamaged("an entry has an unknown form, or its base is missing")

    def unpack(self, packed: bytes, packed_base: bytes | None = None) -> bytes:
        """Return an entry's verbatim bytes. Raises EntryDamaged."""
        base = None if packed_base is None else self.layout(packed_base)
        return from_layout(self.layout(packed, base))


def to_layout(content: bytes) -> bytes:
    """Return an entry's layout: long base64 strings are decoded, where encoding them again is exact."""
    head, at = bytearray(), 0
    rest: list[bytes] = []
    runs: list[bytes] = []
    quoted = b'"%b"' % content
    found = _LONG.search(quoted)
    while found is not None and len(runs) < _RUNS_MAX:
        start, end = found.start(), quoted.index(b'"', found.end()) - 1  # of the text in `content`
        octets = _octets(content[start:end]) if (end - start) % 4 == 0 else None
        if octets is not None:
            rest.append(content[at:start])
            _put(head, start - at)
            _put(head, len(octets))
            runs.append(octets)
            at = end
        found = _LONG.search(quoted, end + 1)
    count = bytearray()
    _put(count, len(runs))
    return b"".join((count, head, *rest, content[at:], *runs))


def _octets(text: bytes) -> bytes | None:
    try:
        octets = a2b_base64(text)
    except ValueError:
        return None
    return octets if b2a_base64(octets, newline=False) == text else None


def from_layout(layout: bytes) -> bytes:
    """Return the entry of a layout, with its base64 strings encoded again. Raises EntryDamaged."""
    try:
        count, at = _take(layout, 0)
        if count > _RUNS_MAX:
            raise EntryDamaged("an entry's layout is malformed")
        places = []
        for _ in range(count):
            skipped, at = _take(layout, at)
            size, at = _take(layout, at)
            places.append((skipped, size))
    except IndexError as exc:
        raise EntryDamaged("an entry's layout is malformed") from exc
    octets_at = len(layout) - sum(size for _, size in places)
    parts = []
    for skipped, size in places:
        parts += [layout[at : at + skipped], b2a_base64(layout[octets_at : octets_at + size], newline=False)]
        at, octets_at = at + skipped, octets_at + size
    parts.append(layout[at : len(layout) - sum(size for _, size in places)])
    return b"".join(parts)


def _put(target: bytearray, number: int) -> None:
    while number > 0x7F:
        target.append(number & 0x7F | 0x80)
        number >>= 7
    target.append(number)


def _take(source: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        octet = source[at]
        at += 1
        number |= (octet & 0x7F) << shift
        if octet < 0x80:
            return number, at
        shift += 7
        if shift > 35:
            raise EntryDamaged("an entry's layout is malformed")
