"""The rules that rest on the inventory: each fails only where a source that could deny it was asked since."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.gathering import InstanceEvidence, evidence_of
from whence_aggregator.compliance.rule import Verdict
from whence_aggregator.compliance.rules.catalogue import RULES, judge
from whence_aggregator.trace.facts import NOT_ASKED, Facts, InventoryFacts
from whence_aggregator.trace.life import Life
from whence_aggregator.trace.stored_statement import Binding, StoredStatement
from whence_common.clock import to_instant
from whence_common.statement import InstanceFacts, Predicate, UserDataFacts

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SILENT_AFTER = 300
OURS, OTHERS = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def ago(seconds: float) -> str:
    return to_instant(NOW - timedelta(seconds=seconds))


def evidence(
    *, life: Life = "running", seen: str | None = None, listed: InventoryFacts | None = None, listening: float = 86_400,
    launched: str = "", digest: str | None = OURS, heartbeats: int = 1,
) -> SubjectEvidence:  # fmt: skip
    instance = InstanceFacts(account_id="1", region="r", instance_id="i-1", pending_time=launched or ago(7_200))
    user_data = UserDataFacts(digest=digest) if digest is not None else None
    predicate = Predicate(
        instance=instance, boot_id="b", sequence=1, cause="boot", observed_at=ago(7_200), agent_version="1",
        user_data=user_data, heartbeats=heartbeats,
    )  # fmt: skip
    statement = StoredStatement(
        digest="sha256:0", ledger_index=1, instance_id="i-1", observed_at=ago(7_200), recorded_at=ago(7_200),
        enrolment=1, predicate=predicate,
    )  # fmt: skip
    binding = Binding(number=1, level="document", enrolled_at=ago(7_200), ledger_index=0, identity={})
    facts = Facts(
        statement=statement, binding=binding, application=None, image_source=NOT_ASKED, commit=NOT_ASKED,
        last_seen=seen, life=life, listed=listed or InventoryFacts(),
    )  # fmt: skip
    return evidence_of(
        InstanceEvidence(
            facts=facts, lineage=None, now=NOW, silent_after_seconds=SILENT_AFTER,
            listening_since=NOW - timedelta(seconds=listening),
        )
    )  # fmt: skip


def patient(one: SubjectEvidence, seconds: float) -> SubjectEvidence:
    """Return the evidence where an agent is silent after other seconds."""
    assert one.heard is not None
    return msgspec.structs.replace(one, heard=msgspec.structs.replace(one.heard, silent_after_seconds=seconds))


def verdict(rule_id: str, **given: object) -> Verdict:
    rule = next(rule for rule in RULES if rule.id == rule_id)
    return judge(rule, evidence(**given))  # type: ignore[arg-type]  # what each test gives


def listing(
    seconds_ago: float, state: str = "running", since: float = 7_000, digest: str = OURS, launched: float = 7_200
) -> InventoryFacts:
    return InventoryFacts(
        listed_at=ago(seconds_ago), state=state, asked_at=ago(since), launched_at=ago(launched), user_data_digest=digest
    )


@pytest.mark.parametrize(
    ("given", "outcome", "words"),
    [
        ({"seen": ago(10), "listed": listing(5)}, "pass", "heard recently"),
        ({"seen": ago(SILENT_AFTER), "listed": listing(5)}, "pass", "heard recently"),
        ({"seen": ago(400), "listed": listing(50)}, "fail", "running in a listing after"),
        ({"seen": ago(400), "listed": listing(100)}, "unknown", "is awaited"),
        ({"seen": ago(400), "listed": listing(380)}, "unknown", "is awaited"),
        ({"seen": ago(400)}, "unknown", "not collected"),
        ({"seen": ago(400), "life": "unknown", "listed": listing(50, "stopped")}, "unknown", "is unknown"),
        ({"seen": ago(400), "life": "pending", "listed": listing(50, "pending")}, "unknown", "is pending"),
        ({"seen": None, "listed": listing(5)}, "unknown", "never heard"),
        ({"seen": ago(400), "listed": listing(50), "listening": 200}, "unknown", "could be heard only since"),
        ({"seen": ago(900), "listed": listing(50), "listening": 340}, "unknown", "is awaited"),
        ({"seen": ago(900), "listed": listing(20), "listening": 340}, "fail", "silent since"),
        ({"seen": ago(10), "listed": listing(5), "listening": 1}, "pass", "heard recently"),
        ({"seen": ago(10), "listed": listing(5), "heartbeats": 0}, "pass", "heard recently"),
        ({"seen": ago(400), "listed": listing(50), "heartbeats": 0}, "unknown", "upgrade the agent"),
        ({"seen": ago(4_000), "listed": listing(5, launched=100)}, "unknown", "was launched at"),
        ({"seen": ago(4_000), "listed": listing(5, launched=305)}, "unknown", "is awaited"),
        ({"seen": ago(4_000), "listed": listing(5, launched=310)}, "fail", "silent since"),
        ({"seen": ago(400), "listed": listing(100), "heartbeats": 0}, "unknown", "upgrade the agent"),
    ],
)
def test_silence_fails_only_where_a_later_listing_shows_the_machine_running(
    given: dict[str, object], outcome: str, words: str
) -> None:
    found = verdict("agent-silent", **given)
    assert found.outcome == outcome, found.reason
    assert words in found.reason


@pytest.mark.parametrize("life", ["stopping", "stopped", "shutting-down", "terminated"])
def test_silence_of_a_machine_that_stands_still_is_closed(life: Life) -> None:
    found = verdict("agent-silent", life=life, seen=ago(4_000), listed=listing(5, life))
    assert found.outcome == "gone"
    assert "subject gone" in found.reason


@pytest.mark.parametrize("rule", [rule.id for rule in RULES if rule.id != "instance-unlisted"])
@pytest.mark.parametrize("life", ["shutting-down", "terminated"])
def test_whatever_was_open_of_an_instance_closes_when_it_ends(rule: str, life: Life) -> None:
    assert verdict(rule, life=life, seen=ago(4_000), listed=listing(5, "terminated")).outcome == "gone"


@pytest.mark.parametrize(
    ("given", "outcome", "words"),
    [
        ({"seen": ago(5)}, "unknown", "not collected"),
        ({"seen": ago(5), "listed": listing(2)}, "pass", "as running"),
        ({"seen": ago(5), "listed": listing(2, "stopped")}, "pass", "as stopped"),
        ({"seen": ago(5), "listed": InventoryFacts(listed_at=ago(2))}, "unknown", "not listed yet"),
        ({"seen": ago(600), "life": "terminated", "listed": listing(2, "terminated", 600)}, "pass", "not heard since"),
        ({"seen": ago(480), "life": "terminated", "listed": listing(2, "terminated", 600)}, "pass", "not heard since"),
        ({"seen": ago(479), "life": "terminated", "listed": listing(2, "terminated", 600)}, "fail", "and heard later"),
        ({"seen": ago(5), "life": "terminated", "listed": listing(480, "gone", 600)}, "unknown", "second listing"),
        ({"seen": ago(5), "life": "terminated", "listed": listing(2, "gone", 600)}, "fail", "no longer listed"),
        (
            {"seen": ago(5), "life": "shutting-down", "listed": listing(2, "shutting-down", 600)},
            "pass",
            "shutting-down",
        ),
        ({"seen": None, "life": "terminated", "listed": listing(2, "gone", 600)}, "pass", "not heard since"),
    ],
)
def test_a_machine_fails_instance_unlisted_only_when_heard_well_after_its_end(
    given: dict[str, object], outcome: str, words: str
) -> None:
    found = verdict("instance-unlisted", **given)
    assert found.outcome == outcome, found.reason
    assert words in found.reason


@pytest.mark.parametrize(
    ("given", "outcome", "words"),
    [
        ({"listed": listing(5)}, "pass", "the same"),
        ({"listed": listing(5, digest=OTHERS)}, "fail", "different user data"),
        ({"listed": listing(5, "stopped", digest=OTHERS), "life": "stopped"}, "unknown", "of its next start"),
        ({"listed": listing(5, "stopping", digest=OTHERS), "life": "stopping"}, "unknown", "of its next start"),
        ({"listed": listing(5, "stopped", digest=OURS), "life": "stopped"}, "pass", "the same"),
        ({"listed": listing(5, digest=OTHERS), "launched": ago(100)}, "unknown", "of another one"),
        ({"listed": listing(5, digest=OTHERS), "launched": ago(9_000)}, "unknown", "of another one"),
        ({"listed": listing(5, digest=OTHERS), "launched": "soon"}, "unknown", "of another one"),
        ({"listed": listing(5, digest=OURS), "launched": ago(100)}, "pass", "the same"),
        ({"listed": listing(5, digest="")}, "unknown", "only one of"),
        ({"listed": listing(5), "digest": None}, "unknown", "only one of"),
        ({}, "unknown", "not collected"),
    ],
)
def test_user_data_is_compared_only_within_one_launch(given: dict[str, object], outcome: str, words: str) -> None:
    found = verdict("user-data-changed", **given)
    assert found.outcome == outcome, found.reason
    assert words in found.reason


def test_silence_is_judged_no_sooner_than_a_listing_may_lag() -> None:
    """Where agents are silent after a minute, a listing 90 seconds after the last heartbeat may still show the past."""
    early = patient(evidence(seen=ago(100), listed=listing(10)), 60)
    rule = next(rule for rule in RULES if rule.id == "agent-silent")
    assert judge(rule, early).outcome == "unknown"
    late = patient(evidence(seen=ago(200), listed=listing(10)), 60)
    assert judge(rule, late).outcome == "fail"
