"""The rules about credentials: what is not known is no violation, and what mint never wrote is one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import ConfiguredSource, Outcome
from whence_aggregator.compliance.rule_settings import RuleSettings, wrong_in_rules
from whence_aggregator.compliance.rules.catalogue import RULES, RulesInForce, judge

MINT: tuple[ConfiguredSource, ...] = ("mint",)
NOW = "2026-11-22T12:00:00.000Z"
SETTINGS = {
    "user_credential_hours_max": 4, "client_credential_days_max": 31, "credential_lag_minutes_max": 30,
    "credential_unread_hours_max": 24,
}  # fmt: skip
NAMES = ("credentials-old", "credentials-not-rotated", "credentials-unread", "credentials-tampered",
         "password-grant-used")  # fmt: skip


def before(hours: float) -> str:
    minutes = int(hours * 60)
    return f"2026-11-{22 - (minutes + 719) // 1440:02d}T{(720 - minutes) % 1440 // 60:02d}:{(720 - minutes) % 60:02d}:00.000Z"


def current(kind: str, *, hours: float = 1, generation: str = "0b", is_read: bool = True) -> dict[str, Any]:
    at = before(hours)
    return {"kind": kind, "generation": generation, "intended_at": at, "committed_at": at, "is_read": is_read}


def minted(*generations: dict[str, Any], kinds: tuple[str, ...] = ("client", "user"), readers: bool = True) -> Any:
    return {"current": list(generations), "kinds": list(kinds), "has_readers": readers}


def held(kind: str, *, generation: str = "0b", hours: float = 1, **changes: Any) -> dict[str, Any]:
    return {
        "kind": kind, "generation": generation, "version_id": "v-1", "since": before(hours), "is_minted": True,
        "is_written": True, "intended_at": before(hours), **changes,
    }  # fmt: skip


def verdict(name: str, **evidence: Any) -> tuple[Outcome, str]:
    rule = next(one for one in RULES if one.id == name)
    given = {"kind": rule.kind, "now": NOW, "settings": SETTINGS, "heard": {"last_seen": NOW}, **evidence}
    found = judge(rule, msgspec.convert(given, SubjectEvidence))
    return found.outcome, found.reason


@pytest.mark.parametrize("name", NAMES)
def test_without_knowledge_of_mint_nothing_is_judged(name: str) -> None:
    assert verdict(name)[0] == "unknown"


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_does_not_apply_to_an_application_that_mint_does_not_know(name: str) -> None:
    found = verdict(name, minted=minted(kinds=()), held=[held("user", is_minted=False)])
    assert found == ("pass", "mint makes no credentials for the application")


@pytest.mark.parametrize("name", ["credentials-not-rotated", "credentials-tampered", "password-grant-used"])
def test_an_agent_that_states_no_objects_is_unknown(name: str) -> None:
    assert verdict(name, minted=minted(current("user"), current("client")))[0] == "unknown"


def test_rules_are_in_force_only_where_mint_is_configured_and_what_they_need_is_set() -> None:
    settings = msgspec.convert(SETTINGS, RuleSettings)
    assert not set(NAMES) & {one.id for one in RulesInForce.of(settings).rules}
    assert set(NAMES) <= {one.id for one in RulesInForce.of(settings, MINT).rules}
    without = {one.id for one in RulesInForce.of(RuleSettings(), MINT).rules}
    assert set(NAMES) & without == {"credentials-tampered", "password-grant-used"}


@pytest.mark.parametrize("name", sorted(SETTINGS))
@pytest.mark.parametrize("number", [0, -1, 10_001])
def test_a_time_that_makes_no_sense_is_refused(name: str, number: int) -> None:
    assert wrong_in_rules(msgspec.convert({name: number}, RuleSettings)) == [f"rules.{name} must be from 1 to 10000"]


@pytest.mark.parametrize(
    ("kind", "hours", "outcome"),
    [("user", 5, "fail"), ("user", 3, "pass"), ("client", 5, "pass"), ("client", 3, "pass")],
)
def test_each_kind_has_its_own_age(kind: str, hours: float, outcome: str) -> None:
    assert verdict("credentials-old", minted=minted(current(kind, hours=hours)))[0] == outcome


def test_a_client_without_a_secret_does_not_grow_old() -> None:
    old = current("client", hours=24 * 20)
    days = {**SETTINGS, "client_credential_days_max": 10}
    assert verdict("credentials-old", minted=minted(old), settings=days)[0] == "fail"
    assert verdict("credentials-old", minted=minted({**old, "has_secret": False}), settings=days)[0] == "pass"


def test_an_age_that_is_not_set_is_not_judged() -> None:
    settings = {"client_credential_days_max": 31}
    assert verdict("credentials-old", settings=settings, minted=minted(current("user", hours=200)))[0] == "pass"


def test_what_is_not_committed_yet_is_not_old() -> None:
    assert verdict("credentials-old", minted=minted())[0] == "unknown"


def behind(**changes: Any) -> tuple[Outcome, str]:
    known = minted(current("user", hours=1, generation="0c"))
    return verdict("credentials-not-rotated", minted=known, held=[held("user", hours=9)], **changes)


def test_an_instance_that_is_heard_and_holds_an_earlier_generation_for_long_fails() -> None:
    outcome, reason = behind()
    assert outcome == "fail"
    assert "holds generation 0b, and 0c is current" in reason


@pytest.mark.parametrize(
    "changes",
    [
        {"heard": {"last_seen": ""}},
        {"heard": {"last_seen": before(1)}},
        {"life": "stopped"},
        {"heard": None},
    ],
)
def test_an_instance_that_is_not_heard_is_not_known_to_be_behind(changes: dict[str, Any]) -> None:
    assert behind(**changes)[0] == "unknown"


def test_an_instance_has_time_to_read_the_newest_generation() -> None:
    assert behind(settings={**SETTINGS, "credential_lag_minutes_max": 90})[0] == "pass"


@pytest.mark.parametrize("hours", [0.5, 1])
def test_a_generation_that_is_newer_than_the_current_one_is_not_behind(hours: float) -> None:
    known = minted(current("user", hours=1, generation="0c"))
    assert verdict("credentials-not-rotated", minted=known, held=[held("user", hours=hours)])[0] == "pass"


def test_a_generation_that_mint_does_not_know_is_not_judged_by_its_age() -> None:
    known = minted(current("user", generation="0c"))
    assert verdict("credentials-not-rotated", minted=known, held=[held("user", is_minted=False)])[0] == "unknown"


@pytest.mark.parametrize(
    ("is_read", "hours", "readers", "outcome"),
    [(False, 25, True, "fail"), (False, 25, False, "unknown"), (False, 23, True, "pass"), (True, 25, True, "pass")],
)
def test_a_generation_is_unread_only_if_somebody_would_have_said_so(
    is_read: bool, hours: float, readers: bool, outcome: str
) -> None:
    known = minted(current("client", hours=hours, is_read=is_read), readers=readers)
    assert verdict("credentials-unread", minted=known)[0] == outcome


def tampered(**changes: Any) -> tuple[Outcome, str]:
    known = minted(current("user", hours=2), current("client", hours=2))
    return verdict("credentials-tampered", minted=known, held=[held("client"), held("user", **changes)])


def test_a_generation_that_mint_never_made_fails_at_once() -> None:
    outcome, reason = tampered(generation="ff", is_minted=False, is_written=False, hours=0)
    assert outcome == "fail"
    assert "never made the generation ff" in reason


@pytest.mark.parametrize(
    ("restored", "since", "outcome"),
    [(2, 1.9, "unknown"), (2, 1, "unknown"), (23.9, 1, "unknown"), (24.1, 1, "fail"), (100, 101, "unknown"), (100, 99, "fail")],
)  # fmt: skip
@pytest.mark.parametrize("what", [{"is_minted": False}, {"is_written": False}])
def test_what_mint_may_have_made_before_a_restore_is_no_tampering(
    restored: float, since: float, outcome: str, what: dict[str, bool]
) -> None:
    """The backup lacks what was made after it; mint finds that in the bucket, and rotates."""
    known = {**minted(current("client"), kinds=("client",)), "restored_at": before(restored)}
    found = verdict("credentials-tampered", minted=known, held=[held("client", generation="0c", hours=since, **what)])
    assert found[0] == outcome, found
    assert ("the database was restored" in found[1]) == (outcome == "unknown")


def test_a_version_that_mint_never_wrote_fails_once_a_lost_answer_is_ruled_out() -> None:
    assert tampered(is_written=False, hours=0.2)[0] == "unknown"
    assert tampered(is_written=False, hours=0.3)[0] == "fail"


@pytest.mark.parametrize(
    "changes", [{"heard": {"last_seen": before(3)}}, {"heard": {"last_seen": ""}}, {"life": "stopped"}]
)
def test_a_version_of_a_lost_answer_is_no_tampering_of_an_instance_that_says_nothing_any_more(changes: Any) -> None:
    """A write whose answer was lost leaves a version that nobody records; the instance cannot state the next one."""
    known = minted(current("client"))
    found = verdict("credentials-tampered", minted=known, held=[held("client", is_written=False)], **changes)
    assert (found[0], "mint never wrote the version v-1" in found[1]) == ("unknown", True)
    foreign = held("client", generation="0f", is_minted=False, is_written=False)
    assert verdict("credentials-tampered", minted=known, held=[foreign], **changes)[0] == "fail"


def test_an_object_without_an_id_fails_if_it_came_after_those_of_mint() -> None:
    changes: dict[str, Any] = {"generation": "", "is_minted": False, "is_written": False}
    assert tampered(**changes, hours=1)[0] == "fail"
    assert tampered(**changes, hours=3)[0] == "unknown", "it may be from before mint wrote its own"


@pytest.mark.parametrize(
    "changes",
    [{"generation": "", "version_id": "", "is_minted": False, "is_written": None}, {"is_written": None}],
)
def test_what_is_not_stated_or_not_recorded_is_no_tampering(changes: dict[str, Any]) -> None:
    assert tampered(**changes)[0] == "unknown"


def test_a_known_generation_in_a_bucket_without_versions_is_mints() -> None:
    assert tampered(version_id="", is_written=None)[0] == "pass"
    assert tampered()[0] == "pass"


def test_one_object_that_was_tampered_with_counts_more_than_one_that_is_unknown() -> None:
    known = minted(current("user", hours=2), current("client", hours=2))
    objects = [held("client", is_written=None), held("user", generation="ff", is_minted=False)]
    assert verdict("credentials-tampered", minted=known, held=objects)[0] == "fail"


@pytest.mark.parametrize(
    ("kinds", "source", "outcome"),
    [
        (("client",), "", "fail"),
        (("client", "user"), "client", "fail"),
        (("client", "user"), "both", "unknown"),
        (("client", "user"), "", "unknown"),
    ],
)
def test_a_password_is_a_violation_only_where_it_is_known_to_be_needless(
    kinds: tuple[str, ...], source: str, outcome: str
) -> None:
    known = minted(current("client"), kinds=kinds)
    machine = {"token_source": source}
    found = verdict("password-grant-used", minted=known, machine=machine, held=[held("client"), held("user")])
    assert found[0] == outcome


def test_an_instance_without_a_user_uses_no_password() -> None:
    assert verdict("password-grant-used", minted=minted(current("client")), held=[held("client")])[0] == "pass"


@pytest.mark.parametrize("life, outcome", [("running", "fail"), ("unknown", "fail"), ("stopped", "unknown")])
def test_a_bucket_that_was_tampered_with_counts_where_the_agent_does_not_state_what_it_read(
    life: str, outcome: str
) -> None:
    disturbed = minted(current("user"), {**current("client"), "is_tampered": True})
    found = verdict("credentials-tampered", minted=disturbed, life=life)
    assert found[0] == outcome
    assert ("client.json" in found[1]) == (outcome == "fail")
    assert verdict("credentials-tampered", minted=disturbed, held=[held("client"), held("user")])[0] == "pass"
