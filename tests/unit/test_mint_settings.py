"""How often mint looks at buckets, as the settings state it."""

from __future__ import annotations

import msgspec
import pytest

from whence_aggregator.settings.mint import MintSettings, rules_of, wrong_in_mint

MINT = {
    "key_file": "/etc/whence/mint.key",
    "providers": {"issuer": {"type": "registration", "url": "https://i.example.org", "token_url": "https://i.example.org"}},
    "buckets": [{"pattern": "{prefix}-stups-mint-{account_id}-{region}"}],
}  # fmt: skip


def stated(**changes: object) -> MintSettings:
    return msgspec.convert({**MINT, **changes}, MintSettings)


def test_buckets_are_looked_at_each_hour_unless_it_is_stated_otherwise() -> None:
    assert rules_of(stated()).bucket_look_seconds == 3_600
    assert rules_of(stated(bucket_look_seconds=86_400)).bucket_look_seconds == 86_400


@pytest.mark.parametrize("seconds", [0, -1, 599, 604_801, 1e12])
def test_looks_that_are_too_frequent_or_too_rare_are_refused_with_the_bounds(seconds: float) -> None:
    assert wrong_in_mint(stated(bucket_look_seconds=seconds)) == ["mint.bucket_look_seconds must be from 600 to 604800"]


@pytest.mark.parametrize("seconds", [600, 3_600, 604_800])
def test_looks_within_the_bounds_are_accepted(seconds: float) -> None:
    assert wrong_in_mint(stated(bucket_look_seconds=seconds)) == []
