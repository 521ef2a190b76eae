"""Who is behind a session of a role: joined by the key that AWS made, never by what its caller chose."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

import whence_aggregator
from whence_aggregator.trace.behind import STEPS_MAX, KnownBy, TakenRole, who_is_behind

A, B = "123456789012", "210987654321"
ROLE, CHAINED = f"arn:aws:iam::{A}:role/deploy", f"arn:aws:iam::{A}:role/admin"
AT, BEFORE = "2026-11-22T12:00:00.000Z", "2026-11-22T11:30:00.000Z"
JANE = {"type": "IAMUser", "account_id": A, "user": "jane"}


def session(key: str = "KEY", role: str = ROLE, **members: str) -> dict[str, Any]:
    return {"type": "AssumedRole", "account_id": A, "role": role, "session": "boss", "access_key": key, **members}


def made(doer: Mapping[str, Any], **changes: Any) -> TakenRole:
    given: dict[str, Any] = {
        "ledger_index": 7, "event_id": "e", "account_id": A, "access_key": "KEY", "shared_id": "", "role": ROLE,
        "at": BEFORE, "doer": doer, **changes,
    }  # fmt: skip
    return TakenRole(**given)


def test_the_user_whose_call_made_the_key_is_behind_it_whatever_the_session_is_called() -> None:
    found = who_is_behind(session(person="boss@example.org"), AT, [made(JANE)])
    assert found.to_wire() == {
        "state": "asserted", "name": "jane", "type": "IAMUser", "account_id": A, "known_by": "assume-role",
        "reason": None, "roles": [ROLE],
    }  # fmt: skip
    assert [one.ledger_index for one in found.evidence] == [7]


@pytest.mark.parametrize(
    "doer, name, known_by",
    [
        (JANE, "jane", "identity"),
        ({"type": "SAMLUser", "user": "jane@example.org", "provider": "idp"}, "jane@example.org", "identity"),
        ({"type": "Root", "user": "root", "account_id": A}, "root", "identity"),
        ({"type": "AWSService", "service": "autoscaling.amazonaws.com"}, "autoscaling.amazonaws.com", "service"),
    ],
)
def test_a_caller_without_a_role_is_named_by_the_record_itself(doer: dict[str, Any], name: str, known_by: str) -> None:
    found = who_is_behind(doer, AT, [])
    assert (found.state, found.name, found.known_by) == ("asserted", name, known_by)


def test_a_chain_of_roles_is_followed_to_its_first_caller() -> None:
    chain = [made(session("FIRST", CHAINED)), made(JANE, access_key="FIRST", role=CHAINED, ledger_index=3)]
    found = who_is_behind(session(), AT, chain)
    assert (found.name, found.roles) == ("jane", (ROLE, CHAINED))
    assert [one.ledger_index for one in found.evidence] == [7, 3]


def test_a_chain_that_is_too_long_or_a_circle_ends_unknown() -> None:
    found = who_is_behind(session(), AT, [made(session())])
    assert (found.known_by, f"more than {STEPS_MAX} roles" in found.reason) == ("session-name", True)


def test_a_federated_user_is_behind_a_session_by_saml() -> None:
    saml = {"type": "SAMLUser", "user": "jane@example.org", "provider": "https://idp.example.org", "account_id": A}
    found = who_is_behind(session(), AT, [made(saml)])
    assert (found.name, found.type, found.known_by) == ("jane@example.org", "SAMLUser", "assume-role")


OF_B = {"type": "AWSAccount", "account_id": B}
BEN = {"type": "IAMUser", "account_id": B, "user": "ben"}


def test_the_trails_of_two_accounts_that_agree_confirm_the_caller() -> None:
    calls = [made(OF_B, shared_id="S"), made(BEN, shared_id="S", account_id=B, ledger_index=9)]
    found = who_is_behind(session(), AT, calls)
    assert (found.state, found.name, found.account_id) == ("confirmed", "ben", B)
    assert [one.ledger_index for one in found.evidence] == [7, 9]


@pytest.mark.parametrize(
    "calls, reason",
    [
        ([], f"no recorded call of STS made the key of the session of {ROLE}"),
        ([made(JANE, role=CHAINED)], f"a recorded call of STS made the key for another role than {ROLE}"),
        ([made(JANE), made({**JANE, "user": "ben"}, event_id="f")], "2 recorded calls of STS made the same key"),
        ([made(JANE, at="2026-11-20T12:00:00.000Z")], f"no recorded call of STS made the key of the session of {ROLE}"),
        ([made(JANE, at="2026-11-22T13:00:00.000Z")], f"no recorded call of STS made the key of the session of {ROLE}"),
        ([made(OF_B, shared_id="S")], f"account {B} assumed {ROLE}, and its trail does not state who"),
        # the role's account names a user of another account: only that account's trail may
        ([made(OF_B, shared_id="S"), made(BEN, shared_id="S", account_id=A, access_key="")],
         "2 recorded calls of STS made the same key"),
        # another account states that somebody else's user did it, or took a part in another call
        ([made(JANE, account_id=B)], "the trail of the role's account has not recorded the call that assumed the role"),
        ([made(OF_B, shared_id="S"), made(BEN, shared_id="S", account_id=B, access_key="ANOTHER")],
         f"account {B} assumed {ROLE}, and its trail does not state who"),
        ([made(OF_B, shared_id="S"), made(BEN, shared_id="S", account_id=B, role=CHAINED, access_key="")],
         f"account {B} assumed {ROLE}, and its trail does not state who"),
        ([made(OF_B), made(BEN, account_id=B, access_key="")],
         f"account {B} assumed {ROLE}, and its trail does not state who"),
    ],
)  # fmt: skip
def test_nobody_is_named_by_calls_that_do_not_fit(calls: list[TakenRole], reason: str) -> None:
    if "2 recorded" in reason:
        calls = [calls[0], made(calls[1].doer, event_id="f", shared_id=calls[1].shared_id)]
    found = who_is_behind(session(), AT, calls)
    assert found.state == "asserted"
    assert (found.name, found.known_by, found.reason) == (
        "boss", "session-name", f"{reason}; the session's name was chosen by its caller",
    )  # fmt: skip
    assert who_is_behind(session(session=""), AT, calls).to_wire() == {
        "state": "unknown", "name": None, "type": None, "account_id": None, "known_by": None, "reason": reason,
        "roles": [ROLE],
    }  # fmt: skip


def test_another_account_cannot_make_the_record_of_the_roles_own_account_ambiguous() -> None:
    forged = [made(BEN, account_id=B, role=CHAINED), made(BEN, account_id=B)]
    found = who_is_behind(session(), AT, [*forged, made(JANE)])
    assert (found.name, found.known_by, [one.account_id for one in found.evidence]) == ("jane", "assume-role", [A])


def test_a_chain_is_confirmed_only_if_two_trails_agree_on_each_step() -> None:
    calls = [
        made(session("FIRST", CHAINED)),
        made(OF_B, access_key="FIRST", role=CHAINED, shared_id="S"),
        made(BEN, access_key="FIRST", role=CHAINED, shared_id="S", account_id=B),
    ]
    found = who_is_behind(session(), AT, calls)
    assert (found.state, found.name) == ("asserted", "ben")


def test_the_callers_account_alone_names_its_own_user() -> None:
    found = who_is_behind(session(), AT, [made(BEN, account_id=B)])
    assert (found.state, found.name, found.known_by) == ("asserted", "ben", "assume-role")


def test_a_source_identity_is_the_callers_word_where_no_call_is_recorded() -> None:
    found = who_is_behind(session(person="jane@example.org"), AT, [])
    assert (found.state, found.name, found.known_by) == ("asserted", "jane@example.org", "source-identity")
    assert found.reason.endswith("; the source identity was set by the call that assumed the first role")


def test_what_is_shown_has_the_members_that_the_contract_names() -> None:
    document = yaml.safe_load((Path(whence_aggregator.__file__).parent / "openapi.yaml").read_text("utf-8"))
    contract = document["components"]["schemas"]["Behind"]
    wire = who_is_behind(session(), AT, [made(JANE)]).to_wire()
    assert set(wire) == set(contract["required"]) == set(contract["properties"])
    assert set(contract["properties"]["known_by"]["enum"]) == {*get_args(KnownBy), None}
