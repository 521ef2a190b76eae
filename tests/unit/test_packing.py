"""Packing entries: whatever the bytes were, exactly they come back."""

from __future__ import annotations

import base64
import json
import random
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whence_aggregator.ledger.packing import EntryDamaged, Packer, from_layout, to_layout

PACKER = Packer()
BASE64 = st.binary(min_size=60, max_size=400).map(base64.b64encode)
ODD = st.sampled_from([b"A" * 88 + b"B", b"A" * 87 + b"=", b"A" * 88 + b"===", b"+" * 400, b"=" * 90, b"AB==" * 40])


@given(st.lists(st.one_of(st.binary(max_size=200), BASE64, ODD), max_size=12).map(b"".join))
@settings(max_examples=300)
def test_any_bytes_come_back_from_their_layout_and_from_their_packing(content: bytes) -> None:
    assert from_layout(to_layout(content)) == content
    assert PACKER.unpack(PACKER.pack(to_layout(content))) == content


@given(st.binary(max_size=3000), st.binary(max_size=3000), st.binary(max_size=500))
@settings(max_examples=200)
def test_any_bytes_come_back_whatever_they_have_in_common_with_their_base(head: bytes, tail: bytes, new: bytes) -> None:
    base, content = head + tail, head + new + tail
    delta = PACKER.delta(to_layout(content), to_layout(base))
    assert delta is not None
    assert PACKER.unpack(delta, PACKER.pack(to_layout(base))) == content


def test_a_long_base64_text_between_quotes_is_stored_as_its_octets() -> None:
    content = b'{"a":"short","b":"' + base64.b64encode(b"x" * 66) + b'","c":"' + b"-" * 88 + b'"}'
    assert to_layout(content) == b"\x01\x12\x42" + b'{"a":"short","b":"","c":"' + b"-" * 88 + b'"}' + b"x" * 66


def test_what_has_too_little_in_common_with_its_base_is_not_packed_against_it() -> None:
    assert PACKER.delta(to_layout(random.Random(1).randbytes(1000)), to_layout(b"hello there")) is None


def test_a_large_entry_comes_back() -> None:
    content = json.dumps({"payload": base64.b64encode(bytes(range(256)) * 700).decode()}).encode()
    assert PACKER.unpack(PACKER.pack(to_layout(content))) == content


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_damaged_bytes_are_refused_and_never_more_than_that(content: bytes) -> None:
    with suppress(EntryDamaged):
        assert isinstance(PACKER.unpack(content), bytes)
    with suppress(EntryDamaged):
        assert isinstance(PACKER.unpack(content, content), bytes)
    with suppress(EntryDamaged):
        assert isinstance(from_layout(content), bytes)


def test_an_entry_without_its_base_is_refused() -> None:
    delta = PACKER.delta(to_layout(b"hello"), to_layout(b"hello there"))
    assert delta is not None
    with pytest.raises(EntryDamaged):
        PACKER.unpack(delta)
