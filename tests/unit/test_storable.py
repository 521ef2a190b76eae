"""Text that no store keeps: what has it is refused, and what is recorded of others is cleaned."""

from __future__ import annotations

import pytest

from whence_aggregator.compliance.moving import storable_verdict
from whence_aggregator.compliance.rule import Verdict
from whence_common.storable import Unstorable, check_json, cleaned

NUL = "a\x00b"


@pytest.mark.parametrize(
    "content, taken",
    [
        (b'"\\u0000"', False),
        (b'"\\\\u0000"', True),
        (b'"\\\\\\u0000"', False),
        (b'{"\\u0000":1}', False),
        (b'"u0000"', True),
        (b'"\\u00000"', False),
    ],
)
def test_an_escaped_nul_is_told_from_text_about_one(content: bytes, taken: bool) -> None:
    if taken:
        check_json(content, "it")
    else:
        with pytest.raises(Unstorable):
            check_json(content, "it")


def test_cleaning_reaches_keys_lists_and_long_numbers_and_leaves_the_rest() -> None:
    value = {NUL: ["\ud800", 2**63, -(2**63), True, None, 1.5]}
    assert cleaned(value) == {"a\ufffdb": ["\ufffd", str(2**63), str(-(2**63)), True, None, 1.5]}
    assert cleaned({"a": [1, "b"]}) == {"a": [1, "b"]}


def test_a_problem_with_text_that_no_store_keeps_still_has_its_verdict() -> None:
    """Statements with NUL are refused now; a log may hold one from before."""
    kept = storable_verdict(Verdict(outcome="fail", reason="user data asks for it: a\x00b" + "x" * 5000))
    assert kept.reason.startswith("user data asks for it: a\ufffdb")
    assert len(kept.reason) == 1000
