"""Whatever is known: less evidence never makes a pass, and more never turns a fail into not knowing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whence_aggregator.compliance.evidence import SUBJECTS_OF_RULES, SubjectEvidence
from whence_aggregator.compliance.rule import Rule
from whence_aggregator.compliance.rules.catalogue import RULES, judge
from whence_aggregator.trace.lineage import LINK_NAMES

EXAMPLES, PIECES = 1_000, 4
INSTANTS = st.sampled_from(
    ("2026-11-22T12:00:00.000Z", "2026-11-22T11:00:00.000Z", "2026-01-01T00:00:00.000Z", "2026-11-22T12:10:00.000Z")
)
STATES = st.sampled_from(("confirmed", "asserted", "contradicted", "missing", "unknown"))
OUTCOMES = st.sampled_from(("found", "missing", "absent", "unknown"))
ANSWER = {"outcome": OUTCOMES, "reason": st.just("HTTP 503")}
STATED = st.fixed_dictionaries(
    {"outcome": st.sampled_from(("pass", "fail", "unknown"))}, optional={"reason": st.just("why")}
)
NAMES = st.sampled_from(("", "release", "ci"))
TEXT = st.sampled_from(("", "something"))
WHETHER = st.booleans()


def section(**members: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=members)


SECTIONS: dict[str, st.SearchStrategy[Any]] = {
    "links": st.fixed_dictionaries(
        {}, optional={name: st.fixed_dictionaries({"state": STATES, "reason": st.just("why")}) for name in LINK_NAMES}
    ),
    "machine": st.fixed_dictionaries(
        {"observed_at": INSTANTS, "recorded_at": INSTANTS},
        optional={
            "cause": st.sampled_from(("boot", "failed", "stop")), "runs": WHETHER, "counts_heartbeats": WHETHER,
            "user_data": st.sampled_from(("read", "absent", "unreadable")), "user_data_digest": TEXT,
            "application_id": TEXT, "application_version": TEXT, "source": TEXT, "account_id": NAMES,
            "proved_account_id": NAMES, "region": NAMES, "proved_region": NAMES,
            "launched_at": INSTANTS, "masked": st.lists(TEXT, max_size=2),
            "problems": st.lists(
                st.fixed_dictionaries(
                    {"code": st.sampled_from(("image-tag-mutable", "secret-in-user-data", "x"))},
                    optional={"severity": st.sampled_from(("error", "warning"))},
                ),
                max_size=2,
            ),
            "drift": st.lists(st.just({"kind": "exec", "container": "c"}), max_size=1),
        },
    ),
    "heard": st.fixed_dictionaries(
        {"listening_since": INSTANTS},
        optional={"last_seen": st.just("") | INSTANTS,
                  "clock": st.sampled_from(("not heard", "right", "ahead", "behind", "late"))},
    ),
    "cloud": st.fixed_dictionaries(
        {"listed_at": st.just("") | INSTANTS, "asked_at": INSTANTS},
        optional={
            "state": st.sampled_from(("", "running", "stopped", "terminated", "gone")), "launched_at": INSTANTS,
            "user_data_digest": TEXT, "user_data_unread": TEXT, "same_launch": WHETHER, "next_start": WHETHER,
            "key_name": TEXT, "imds_tokens": st.sampled_from(("required", "optional")),
            "secrets": st.lists(st.just("environment.X"), max_size=1),
            "doubtful": st.lists(st.just("environment.Y"), max_size=1),
        },
    ),
    "ami": section(
        **ANSWER, name=NAMES, owner=NAMES, state=st.sampled_from(("available", "deregistered")),
        created_at=INSTANTS | st.just("yesterday"), deprecated_at=INSTANTS | st.sampled_from(("", "soon")),
        expires_at=INSTANTS | st.sampled_from(("", "soon")), was_seen=WHETHER,
    ),
    "image": section(
        **ANSWER, repository=st.sampled_from(("registry.example.org/demo", "elsewhere.example/x")),
        created_at=INSTANTS, signed_by=NAMES, signatures=st.integers(0, 2), sboms=st.integers(0, 2),
    ),
    "build": section(builder=NAMES, other_subjects=WHETHER, contradiction=TEXT),
    "scans": section(vulnerabilities=STATED, base_image=STATED),
    "source": section(
        stated=WHETHER, url=TEXT, host=st.sampled_from(("", "git.example.org", "elsewhere.example")),
        path=st.sampled_from(("demo/greeter", "fork/greeter")), dirty=WHETHER, registered=TEXT,
        comparison=st.sampled_from(("same", "other", "unclear")),
    ),
    "commit": section(
        **ANSWER, reachable=WHETHER, branch_reason=TEXT, rewritten=TEXT,
        signature=st.sampled_from(("good", "bad", "unknown key", "none")),
    ),
    "tickets": st.lists(
        st.fixed_dictionaries(
            {"id": st.just("PAY-7"), "state": STATES},
            optional={
                "problem": st.sampled_from(("", "missing", "forbidden", "closed-before-commit", "other-project")),
                "approved": WHETHER,
            },
        ),
        max_size=3,
    ),
    "application": section(
        registered=WHETHER, active=WHETHER, team_id=TEXT, criticality_level=st.integers(0, 4),
        incident_contact=TEXT, specification_url=TEXT, uses_tickets=WHETHER,
    ),
    "account": section(status=st.sampled_from(("", "ACTIVE", "SUSPENDED")), allowed=WHETHER, listed=WHETHER,
        events=st.sampled_from(("read", "failed", "never", "not configured")), events_failing=TEXT),
    "reads": st.lists(
        st.fixed_dictionaries(
            {"source": st.just("the registry")},
            optional={"outcome": st.sampled_from(("read", "waiting")), "due_at": INSTANTS},
        ),
        max_size=2,
    ),
}  # fmt: skip
SETTINGS = {
    "ami_owners": ["release"], "ami_name_prefixes": ["ci"], "ami_days_max": 30, "instance_days_max": 30,
    "image_days_max": 30, "evidence_days_max": 30, "regions": ["release"], "registries": ["registry.example.org"],
    "signers": ["release"], "builders": ["ci"], "builder_levels": {"ci": 3}, "slsa_levels": {"1": 2, "2": 3},
    "scm_owners": {"git.example.org": ["demo"]},
}  # fmt: skip
documents = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(SUBJECTS_OF_RULES),
        "now": st.just("2026-11-22T12:00:00.000Z"),
        "settings": st.just(SETTINGS),
        "life": st.sampled_from(("running", "unknown", "stopped", "terminated")),
    },
    optional=SECTIONS,
)
KEPT = ("kind", "now", "settings", "life")
FACTS = {
    "cloud": ("key_name", "imds_tokens", "secrets", "doubtful"),
    "ami": ("name", "owner", "state", "created_at", "deprecated_at", "expires_at", "was_seen"),
    "image": ("created_at", "signed_by", "signatures", "sboms"),
    "build": ("builder", "other_subjects", "contradiction"),
    "source": ("dirty", "comparison"),
    "commit": ("reachable", "rewritten", "signature"),
    "scans": ("vulnerabilities", "base_image"),
    "account": ("listed", "events"),
}
"""Members that are absent where they are not known; the others have a default, and a section is known with them."""


def verdicts(document: dict[str, Any]) -> dict[str, str]:
    found = msgspec.convert(document, SubjectEvidence)
    return {rule.id: judge(rule, found).outcome for rule in RULES}


def pieces(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what can be taken away: whole sections, single links, and members that may be absent."""
    found = [(name, "") for name in document if name not in KEPT]
    found += [("links", name) for name in document.get("links", {})]
    return found + [(name, one) for name, some in FACTS.items() for one in some if one in document.get(name, {})]


def without(document: dict[str, Any], piece: tuple[str, str]) -> dict[str, Any]:
    name, member = piece
    if not member:
        return {one: value for one, value in document.items() if one != name}
    return {**document, name: {one: value for one, value in document[name].items() if one != member}}


@settings(max_examples=EXAMPLES, deadline=None)
@given(documents, st.data())
def test_less_evidence_never_passes_and_more_never_turns_a_fail_into_not_knowing(
    document: dict[str, Any], data: st.DataObject
) -> None:
    """Each removed piece is also an added one, seen from the other side."""
    whole, every = verdicts(document), pieces(document)
    start = data.draw(st.integers(0, max(len(every) - 1, 0)))
    for piece in (every[start:] + every[:start])[:PIECES]:
        less = verdicts(without(document, piece))
        for rule, outcome in whole.items():
            assert not (outcome in ("fail", "unknown") and less[rule] == "pass"), (rule, piece, "taken away")
            assert not (less[rule] == "fail" and outcome == "unknown"), (rule, piece, "added")


@settings(max_examples=200, deadline=None)
@given(documents, st.lists(st.integers(0, 50), max_size=6))
def test_taking_away_several_pieces_never_passes(document: dict[str, Any], chosen: list[int]) -> None:
    whole, less = verdicts(document), document
    for number in chosen:
        left = pieces(less)
        if left:
            less = without(less, left[number % len(left)])
    found = verdicts(less)
    assert [rule for rule, one in whole.items() if one in ("fail", "unknown") and found[rule] == "pass"] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_each_piece_of_the_evidence_of_a_pass_is_needed_or_says_nothing(rule: Rule) -> None:
    """Without a piece of its example a rule does not fail, and it does not pass by a default."""
    example = next(one for one in rule.examples if one.outcome == "pass")
    document = {"kind": rule.kind, **example.given}
    outcomes = {
        piece: judge(rule, msgspec.convert(without(document, piece), SubjectEvidence)).outcome
        for piece in pieces(document)
    }
    assert "fail" not in outcomes.values()
    assert "unknown" in outcomes.values(), "some piece of the example is needed"


@settings(max_examples=200, deadline=None)
@given(documents)
def test_every_rule_states_a_reason(document: dict[str, Any]) -> None:
    found = msgspec.convert(document, SubjectEvidence)
    assert [rule.id for rule in RULES if judge(rule, found).outcome == "pass" and not judge(rule, found).reason] == []
