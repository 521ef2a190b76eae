"""User data is compared key by key, and no value is shown that either side masks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whence_aggregator.changes.documents import DocumentDifference, KeyChange, differing

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a", "b", "MASKED", "postgres://MASKED@db"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "a/b", "~", "MASKED"]), inner, max_size=3)
    ),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.sampled_from(["environment", "ports", "x", "MASKED"]), VALUES, max_size=4)


@given(DOCUMENTS)
def test_a_document_does_not_differ_from_itself(document: dict[str, Any]) -> None:
    assert differing(document, document).changes == ()


@given(DOCUMENTS, DOCUMENTS)
def test_the_other_way_round_it_is_the_same_difference_mirrored(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert differing(b, a) == differing(a, b).mirrored()


@given(DOCUMENTS, DOCUMENTS)
def test_every_difference_between_documents_without_masks_is_found(a: dict[str, Any], b: dict[str, Any]) -> None:
    masked = "MASKED" in json.dumps([a, b])
    equal = json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)
    if not masked:
        assert (differing(a, b).changes == ()) is equal


SECRET = "correct-horse"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"k": "MASKED"}, {"k": SECRET}),
        ({"k": SECRET}, {"k": "MASKED"}),
        ({"k": {"x": "MASKED"}}, {"k": SECRET}),
        ({"k": ["MASKED"]}, {"k": [SECRET]}),
        ({"k": ["MASKED", "x"]}, {"k": SECRET}),
        ({"k": "postgres://MASKED@db"}, {"k": SECRET}),
        ({"MASKED": "x"}, {"MASKED": SECRET}),
        ({"MASKED": "x"}, {"MASKED again": SECRET}),
        ({"k": {"MASKED": 1}}, {"k": {"MASKED": SECRET}}),
        ({"k": {"MASKED": {"deep": "x"}}}, {"k": {"MASKED": {"deep": SECRET}}}),
        ({"k": "MASKED"}, {"k": {"nested": {"deeper": [SECRET]}}}),
    ],
)
def test_a_value_beside_a_masked_one_is_never_shown(a: dict[str, Any], b: dict[str, Any]) -> None:
    found = differing(a, b)
    assert found.changes or found.masked
    assert SECRET not in repr(found)
    assert SECRET not in json.dumps([one.to_wire() for one in found.changes])


def test_each_key_is_named_with_both_values() -> None:
    a = {"application_version": "1.0", "environment": {"A": "1", "OLD": "x", "PASSWORD": "MASKED"}, "ports": [1, 2]}
    b = {"application_version": "1.1", "environment": {"A": "2", "NEW": True, "PASSWORD": "MASKED"}, "ports": [1, 3, 4]}
    assert differing(a, b) == DocumentDifference(
        changes=(
            KeyChange(path="/application_version", how="changed", a="1.0", b="1.1"),
            KeyChange(path="/environment/A", how="changed", a="1", b="2"),
            KeyChange(path="/environment/NEW", how="only_b", b=True),
            KeyChange(path="/environment/OLD", how="only_a", a="x"),
            KeyChange(path="/ports/1", how="changed", a=2, b=3),
            KeyChange(path="/ports/2", how="only_b", b=4),
        ),
        masked=("/environment/PASSWORD",),
    )


@pytest.mark.parametrize(
    ("a", "b", "path"),
    [
        ({"x": 1}, {"x": True}, "/x"),
        ({"x": "1"}, {"x": 1}, "/x"),
        ({"x": None}, {}, "/x"),
        ({"x": {}}, {}, "/x"),
        ({"x": {}}, {"x": []}, "/x"),
        ({"x": {"y": 1}}, {"x": 1}, "/x"),
        ({"a/b": 1}, {"a/b": 2}, "/a~1b"),
        ({"a~": 1}, {"a~": 2}, "/a~0"),
    ],
)
def test_values_of_different_kinds_differ(a: dict[str, Any], b: dict[str, Any], path: str) -> None:
    assert [one.path for one in differing(a, b).changes] == [path]


def test_a_difference_of_many_keys_is_bounded_and_says_so() -> None:
    found = differing({}, {f"key{number:05}": number for number in range(10_000)})
    assert (len(found.changes), found.cut) == (500, True)
