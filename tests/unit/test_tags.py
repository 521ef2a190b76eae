"""What counts about a tag for one instance: the front's own record, else the registry's answers and its own account's word."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from fakes.in_process import OTHER_ACCOUNT
from whence_aggregator.trace.tags import FRONT, REGISTRY, TagHistory, TagSeen

SEEN = st.builds(
    TagSeen,
    digest=st.sampled_from(["sha256:1", "sha256:2", "sha256:3"]),
    said_by=st.sampled_from([FRONT, REGISTRY, "123456789012", OTHER_ACCOUNT]),
    ledger_index=st.integers(min_value=0, max_value=99),
)


@given(st.lists(SEEN, max_size=8))
def test_no_statement_of_another_account_changes_what_is_wrong(seen: Sequence[TagSeen]) -> None:
    own = [one for one in seen if one.said_by != OTHER_ACCOUNT]
    for order in itertools.islice(itertools.permutations(seen), 24):
        found = TagHistory.of(order, account_id="123456789012").wrong("x:1", "sha256:1")
        assert found == TagHistory.of(own, account_id="123456789012").wrong("x:1", "sha256:1")
