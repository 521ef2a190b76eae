"""The rule `clock-off`: it fails where the clock is certain to be wrong, and is unknown where a delay looks the same."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.gathering import InstanceEvidence, evidence_of
from whence_aggregator.compliance.rules.catalogue import RULES
from whence_aggregator.trace.facts import NOT_ASKED, Facts
from whence_aggregator.trace.stored_statement import Binding, StoredStatement
from whence_common.statement import InstanceFacts, Predicate

JUDGE = next(rule.judge for rule in RULES if rule.id == "clock-off")
LAUNCHED, RECORDED = "2026-11-22T12:00:00.000Z", "2026-11-22T12:05:00.000Z"
NOW = datetime(2026, 11, 22, 12, 5, tzinfo=UTC)
DAY_BEFORE = "2026-11-21T12:00:00.000Z"


def evidence(observed_at: str, stated_launch: str) -> SubjectEvidence:
    instance = InstanceFacts(account_id="1", region="r", instance_id="i-1", pending_time=stated_launch)
    predicate = Predicate(
        instance=instance, boot_id="b", sequence=1, cause="boot", observed_at=observed_at, agent_version="1"
    )
    statement = StoredStatement(
        digest="sha256:0", ledger_index=1, instance_id="i-1", observed_at=observed_at, recorded_at=RECORDED,
        enrolment=1, predicate=predicate,
    )  # fmt: skip
    binding = Binding(
        number=1, level="document", enrolled_at=LAUNCHED, ledger_index=0, identity={"pending_time": LAUNCHED}
    )
    facts = Facts(
        statement=statement, binding=binding, application=None, image_source=NOT_ASKED, commit=NOT_ASKED, last_seen=None
    )
    return evidence_of(
        InstanceEvidence(facts=facts, lineage=None, now=NOW, silent_after_seconds=60, listening_since=NOW)
    )


@pytest.mark.parametrize(
    ("observed_at", "stated_launch", "outcome", "words"),
    [
        (RECORDED, "", "pass", "right to 300 s"),
        ("2026-11-22T12:10:00.000Z", "", "pass", "right to 300 s"),
        ("2026-11-22T12:10:00.001Z", "", "fail", "300 s ahead"),
        ("2026-11-22T15:05:00.000Z", "", "fail", "10800 s ahead"),
        ("9999-12-31T23:59:59.999Z", "", "fail", "ahead"),
        ("0001-01-01T00:00:00.000Z", "", "fail", "before the launch"),
        ("1970-01-01T00:00:00.000Z", LAUNCHED, "fail", "before the launch"),
        ("2026-11-22T11:55:00.000Z", LAUNCHED, "unknown", "delivered 600 s late"),
        (DAY_BEFORE, DAY_BEFORE, "unknown", "delivered 86700 s late"),
        (DAY_BEFORE, "soon", "fail", "before the launch"),
        ("2026-11-22T12:00:00.000Z", LAUNCHED, "pass", "right to 300 s"),
    ],
)
def test_a_clock_is_judged_where_it_is_certain(observed_at: str, stated_launch: str, outcome: str, words: str) -> None:
    """A statement of an earlier boot, delivered after the next, names the launch of that boot: it is not a wrong clock."""
    verdict = JUDGE(evidence(observed_at, stated_launch))
    assert verdict.outcome == outcome, verdict.reason
    assert words in verdict.reason
