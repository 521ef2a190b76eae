"""Whatever is known: less evidence never makes a pass, and more never turns a fail into not knowing."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landscape.endurance import repeated
from whence_aggregator.compliance.evidence import SUBJECTS_OF_RULES, SubjectEvidence
from whence_aggregator.compliance.rule import Rule
from whence_aggregator.compliance.rules.catalogue import RULES, judge

EXAMPLES, PIECES = repeated(sample=100, whole=1_000), 4
INSTANTS = ("2026-11-22T12:00:00.000Z", "2026-11-22T11:00:00.000Z", "2026-01-01T00:00:00.000Z",
            "2026-11-22T12:10:00.000Z")  # fmt: skip
TEXTS = ("", "something", "release", "ci")
STATED: dict[str, tuple[str, ...]] = {
    "cause": ("boot", "failed", "stop"), "code": ("image-tag-mutable", "x"), "severity": ("error", "warning"),
    "kind": ("exec",), "tokens": ("required",), "imds_tokens": ("required", "optional"),
    "state": ("", "running", "stopped", "terminated", "gone", "available", "deregistered"),
    "repository": ("registry.example.org/demo/greeter", "elsewhere.example/x"),
    "host": ("", "git.example.org", "elsewhere.example"), "path": ("demo/greeter", "fork/greeter"),
    "signature": ("good", "bad", "unknown key", "none"), "status": ("", "ACTIVE", "SUSPENDED"),
    "problem": ("", "missing", "forbidden", "closed-before-commit", "other-project"), "reason": ("why",),
    "created_at": (*INSTANTS, "yesterday"), "deprecated_at": ("", "soon", *INSTANTS),
    "expires_at": ("", "soon", *INSTANTS), "last_seen": ("", *INSTANTS), "listed_at": ("", *INSTANTS),
    "listening_since": INSTANTS, "observed_at": INSTANTS, "recorded_at": INSTANTS, "asked_at": INSTANTS,
    "due_at": ("", *INSTANTS), "built_at": (*INSTANTS, "yesterday"), "unlisted": ("", "", "", "EC2 is away"),
}  # fmt: skip
"""Texts that rules compare, by the member's name; the others have any of TEXTS."""
NEEDED = {"StatedMachine": ("observed_at", "recorded_at"), "HeardAgent": ("listening_since",),
          "ListedByCloud": ("listed_at", "asked_at")}  # fmt: skip
"""Members without which no such section is gathered."""


def _sort(kind: Any) -> Any:
    """Return a type without its None."""
    some = [one for one in get_args(kind) if one is not type(None)]
    return some[0] if type(None) in get_args(kind) and len(some) == 1 else kind


def _values(kind: Any, name: str) -> st.SearchStrategy[Any]:
    """Return what a member of the documented evidence may be, by its type."""
    kind = _sort(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _section(kind)
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return st.sampled_from(inner)
    if origin is tuple:
        return st.lists(_values(inner[0], name), max_size=2)
    if origin is dict:
        return st.fixed_dictionaries({}, optional={one: _values(inner[1], name) for one in get_args(inner[0])})
    numbers = {bool: st.booleans(), int: st.integers(0, 4), float: st.sampled_from((0.0, 300.0, 301.0, -400.0))}
    return numbers[kind] if kind in numbers else st.sampled_from(STATED.get(name, TEXTS))


def _section(kind: type[msgspec.Struct]) -> st.SearchStrategy[dict[str, Any]]:
    """Return documents of a type. What has no default is always there."""
    members = {one.encode_name: _values(one.type, one.encode_name) for one in msgspec.structs.fields(kind)}
    needed = {one.encode_name for one in msgspec.structs.fields(kind) if one.required} | {
        *NEEDED.get(kind.__name__, ())
    }
    return st.fixed_dictionaries(
        {name: one for name, one in members.items() if name in needed},
        optional={name: one for name, one in members.items() if name not in needed},
    )


KEPT = ("kind", "id", "now", "settings", "life", "life_since")
SECTIONS = {one.name: one.type for one in msgspec.structs.fields(SubjectEvidence) if one.name not in KEPT}
FACTS = {
    name: [one.name for one in msgspec.structs.fields(_sort(kind)) if type(None) in get_args(one.type)]
    for name, kind in SECTIONS.items()
    if isinstance(_sort(kind), type) and issubclass(_sort(kind), msgspec.Struct)
}
"""Members that are absent where they are not known; the others have a default, and a section is known with them."""
SETTINGS = {
    "ami_owners": ["release"], "ami_name_prefixes": ["ci"], "ami_days_max": 30, "instance_days_max": 30,
    "image_days_max": 30, "evidence_days_max": 30, "regions": ["release"], "registries": ["registry.example.org"],
    "signers": ["release"], "builders": ["ci"], "builder_levels": {"ci": 3}, "slsa_levels": {"1": 2, "2": 3},
    "scm_owners": {"git.example.org": ["demo"]}, "ami_builders": ["ci"], "ami_packages_differing_max": 1,
}  # fmt: skip
documents = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(SUBJECTS_OF_RULES),
        "now": st.just("2026-11-22T12:00:00.000Z"),
        "settings": st.just(SETTINGS),
        "life": st.sampled_from(("running", "unknown", "stopped", "terminated")),
    },
    optional={name: _values(kind, name) for name, kind in SECTIONS.items()},
)


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


def unread(document: dict[str, Any], piece: tuple[str, str]) -> dict[str, Any] | None:
    """Return the document where the newest reading of a piece failed; None for what is not read from a source."""
    name, member = piece
    if name == "links" and member:
        found = {**document["links"], member: {"state": "unknown", "reason": "HTTP 503"}}
        return {**document, "links": found}
    if name == "ami_content" and not member:
        return {**document, "ami_content": {"state": "unknown", "reason": "HTTP 503"}}
    if name in ("ami", "image", "commit") and not member:
        links = {**document.get("links", {})}
        links |= {name: {"state": "unknown", "reason": "HTTP 503"}} if name in links else {}
        return {**document, "links": links, name: {"outcome": "unknown", "reason": "HTTP 503"}}
    if name == "cloud" and not member:
        return {**document, "cloud": {**document["cloud"], "unlisted": "HTTP 503"}}
    return None


@pytest.mark.endurance
@settings(max_examples=EXAMPLES, deadline=None)
@given(documents)
def test_a_reading_that_failed_passes_nothing_and_fails_nothing(document: dict[str, Any]) -> None:
    whole, found = verdicts(document), [(one, unread(document, one)) for one in pieces(document)]
    for piece, changed in [one for one in found if one[1] is not None][:PIECES]:
        for rule, outcome in verdicts(changed or {}).items():
            assert outcome != "pass" or whole[rule] == "pass", (rule, piece)
            assert outcome != "fail" or whole[rule] == "fail", (rule, piece)


def test_every_piece_of_the_documented_evidence_is_looked_at() -> None:
    assert set(FACTS) == {
        "machine", "heard", "cloud", "ami", "ami_content", "machine_image", "image", "build", "scans", "source", "commit",
        "application", "account", "minted",
    }  # fmt: skip
    assert FACTS["image"] == ["created_at", "signed_by", "signatures", "sboms"]
    assert FACTS["cloud"] == ["key_name", "imds_tokens", "secrets", "doubtful"]


@pytest.mark.endurance
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


@pytest.mark.endurance
@settings(max_examples=EXAMPLES, deadline=None)
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


@pytest.mark.endurance
@settings(max_examples=EXAMPLES, deadline=None)
@given(documents)
def test_every_rule_states_a_reason(document: dict[str, Any]) -> None:
    found = msgspec.convert(document, SubjectEvidence)
    assert [rule.id for rule in RULES if judge(rule, found).outcome == "pass" and not judge(rule, found).reason] == []
