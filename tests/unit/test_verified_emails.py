"""The e-mail addresses of a token, which approvals record: only those that the issuer states as verified."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.claim_mapping import ClaimMapping
from whence_aggregator.callers.tokens import new_token, parse_line

CLAIMS = {"sub": "4711", "email": "ada@example.org", "email_verified": True}


def emails(claims: dict[str, Any], **mapped: Any) -> tuple[str, ...]:
    mapping = ClaimMapping(rights=(), reads="organisation", **{"email": "email", **mapped})
    return mapping.caller("https://idp.example.org", {"client_id": "w", **claims}, until=2e9).emails


def test_a_verified_address_is_taken() -> None:
    assert emails(CLAIMS) == ("ada@example.org",)
    assert emails({**CLAIMS, "email_verified": "true"}) == ("ada@example.org",)


@pytest.mark.parametrize("verified", [False, "false", None, 1, "yes", [True], {}])
def test_an_address_that_is_not_verified_is_no_evidence(verified: object) -> None:
    assert emails({**CLAIMS, "email_verified": verified}) == ()


def test_no_address_is_taken_unless_the_settings_name_its_claim() -> None:
    assert emails(CLAIMS, email="") == ()
    assert emails({"sub": "4711", "email": "ada@example.org"}) == ()
    assert emails({"sub": "4711", "email": "ada@example.org"}, email_verified="") == ("ada@example.org",)


@pytest.mark.parametrize(
    "address", [None, 7, "", "ada", "a@b@c", "ada @example.org", "ada@example.org\n", "<ada@example.org>", "@x", "a" * 65 + "@b.c"]
)  # fmt: skip
def test_what_is_no_address_is_left_out(address: object) -> None:
    assert emails({**CLAIMS, "email": address}) == ()


def test_a_list_of_addresses_is_bounded() -> None:
    listed = [f"ada{number}@example.org" for number in range(1000)]
    assert emails({**CLAIMS, "email": listed}) == tuple(listed[:10])


def test_a_static_token_is_a_persons_only_by_the_right_person() -> None:
    made, until = datetime(2026, 11, 22, tzinfo=UTC), datetime(2027, 11, 22, tzinfo=UTC)
    plain = new_token("bot", ["hello"], admin=False, made=made, until=until)[1]
    persons = new_token("ada", ["hello"], admin=False, made=made, until=until, rights=["person"])[1]
    assert (plain.caller.realm, persons.caller.realm) == ("unknown", "people")
    read = parse_line(persons.to_line())
    assert read is not None
    assert read.caller == Caller(
        name="ada", teams=frozenset({"hello"}), rights=frozenset({"person"}), realm="people"
    )  # fmt: skip
