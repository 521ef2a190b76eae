"""A lineage whatever is known: no order of the evidence changes it, a gap has a reason, and less evidence proves no more."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.facts import (
    AT,
    DOCUMENT,
    FAILED,
    FOUND,
    OTHERS,
    OURS,
    READ,
    URL,
    answer,
    claim,
    container,
    facts,
    lineage,
    link,
    on,
    said,
    verdict,
)
from fakes.machine import DIGEST, scm
from whence_aggregator.compliance.rules.catalogue import RULES
from whence_aggregator.trace.facts import NOT_ASKED, Answer, Facts, InventoryFacts
from whence_aggregator.trace.lineage import GAPS, LINK_NAMES
from whence_aggregator.trace.tags import TagHistory, TagSeen
from whence_common.image_provenance import KINDS, SourceClaim
from whence_common.statement import ScmSourceFacts

OTHER_URL, SHORT_URL = "https://git.example.org/demo/other", "git@work:demo/greeter"
ELSEWHERE = "sha256:" + "7" * 64
COMMITS = ("c" * 40, "e" * 40, "")
claims = st.builds(
    lambda kind, url, revision, status, by, inherited: replace(
        claim(kind, url=url, revision=revision, status=status),
        by=by if kind == "provenance" else "",
        maybe_inherited=inherited and kind in ("label", "label-schema"),
    ),
    st.sampled_from(KINDS),
    st.sampled_from((URL, OTHER_URL, SHORT_URL, "")),
    st.sampled_from(COMMITS),
    st.sampled_from(("", "modified")),
    st.sampled_from(("b", "d")),
    st.booleans(),
)
answers = st.sampled_from(
    (
        READ,
        NOT_ASKED,
        answer("missing", "none in it"),
        answer("absent", "gone"),
        said(claim("provenance"), scm_source=DOCUMENT),
    )
)
sightings = st.builds(
    TagSeen,
    digest=st.sampled_from((DIGEST, ELSEWHERE)),
    said_by=st.sampled_from(("front", "registry", "123456789012", "210987654321")),
    ledger_index=st.integers(0, 9),
)
files = st.sampled_from(
    (scm(**DOCUMENT), scm(**{**DOCUMENT, "status": " M a"}), ScmSourceFacts(status="missing", reason="no file"), None)
)


def inventory(digest: str, state: str, launched_at: str) -> InventoryFacts:
    index = 6 if state else None
    return InventoryFacts(
        listed_at=AT, state=state, asked_at=AT, launched_at=launched_at, user_data_digest=digest, ledger_index=index
    )  # fmt: skip


inventories = st.builds(
    inventory,
    st.sampled_from((OURS, OTHERS, "")),
    st.sampled_from(("", "running", "stopped", "terminated")),
    st.sampled_from((AT, "2020-01-01T00:00:00.000Z", "")),
)


def _known(
    image_source: Answer,
    listed: InventoryFacts,
    seen: list[TagSeen],
    file: ScmSourceFacts | None,
    failed: bool,
    **other: Any,
) -> Facts:
    stated = FAILED if failed else {"scm_source": file}
    return facts(
        stated=stated, image_source=image_source, listed=listed, tag=TagHistory.of(seen, account_id="123456789012"),
        **other,
    )  # fmt: skip


everything = st.builds(
    _known,
    answers | st.lists(claims, max_size=4).map(lambda found: said(*found, scm_source=DOCUMENT)),
    inventories,
    st.lists(sightings, max_size=4),
    files,
    st.booleans(),
    kio=st.sampled_from(({}, {"scm_url": URL}, {"scm_url": OTHER_URL}, {"active": False})),
    commit=st.sampled_from((FOUND, NOT_ASKED, answer("missing", "no such commit"))),
    branch=st.sampled_from((on(True), on(False), on(None, reason="cut off"), NOT_ASKED)),
    life=st.sampled_from(("running", "unknown", "stopped", "terminated")),
)


@given(everything)
def test_every_gap_has_a_reason_and_what_is_confirmed_has_evidence(known: Facts) -> None:
    for one in lineage(known).links:
        assert one.state not in GAPS or one.reason
        assert one.state != "confirmed" or one.evidence
        assert one.state not in ("confirmed", "asserted", "contradicted") or one.value is not None


@given(everything)
def test_the_same_facts_make_the_same_lineage_and_the_same_verdicts(known: Facts) -> None:
    assert lineage(known) == lineage(known)
    for rule in RULES:
        assert verdict(rule.id, known) == verdict(rule.id, known)


@given(everything)
def test_a_verdict_always_has_a_reason(known: Facts) -> None:
    assert all(verdict(rule.id, known).reason for rule in RULES)


@given(st.lists(claims, max_size=3), files, st.sampled_from((None, URL, OTHER_URL)))
def test_no_order_of_claims_changes_a_state_or_the_source_that_is_shown(
    found: list[SourceClaim], file: ScmSourceFacts | None, scm_url: str | None
) -> None:
    shown = set()
    for order in itertools.permutations(found):
        known = lineage(_claimed(order, file, scm_url))
        value = known.link("source").value or {}
        source = tuple(value.get(name) for name in ("url", "revision", "dirty", "said_by", "builder"))
        shown.add((source, tuple(one.state for one in known.links)))
    assert len(shown) == 1


def _claimed(claims: tuple[SourceClaim, ...], file: ScmSourceFacts | None, scm_url: str | None) -> Facts:
    return facts(stated={"scm_source": file}, image_source=said(*claims), kio={"scm_url": scm_url})


@given(st.lists(sightings, max_size=3, unique_by=lambda one: one.ledger_index))
def test_no_order_of_sightings_changes_what_is_known_of_a_tag(seen: list[TagSeen]) -> None:
    histories = [TagHistory.of(order, account_id="123456789012") for order in itertools.permutations(seen)]
    assert len({link("image", facts(tag=one)).state for one in histories}) == 1
    assert len({tuple(one.seen) for one in histories}) == 1


@given(st.permutations([container(), container(ELSEWHERE, declared=ELSEWHERE), container(OTHERS, declared=ELSEWHERE)]))
def test_no_order_of_containers_hides_one_that_runs_another_image(containers: list[Any]) -> None:
    assert link("image", facts(stated={"containers": containers})).state == "contradicted"


BETTER = {"contradicted": 0, "missing": 1, "unknown": 1, "asserted": 2, "confirmed": 3}
"""How far a state speaks for a link."""
LESS: dict[str, dict[str, Any]] = {
    "the registry was not asked": {"image_source": NOT_ASKED},
    "Git was not asked": {"commit": NOT_ASKED, "branch": NOT_ASKED},
    "the branch was not read": {"branch": NOT_ASKED},
    "the application is not registered": {"application": None},
}


@pytest.mark.parametrize("taken_away", LESS)
@given(st.sampled_from((READ, said(claim("provenance"), scm_source=DOCUMENT))), st.sampled_from((on(True), on(False))))
def test_removed_evidence_never_improves_a_link(taken_away: str, image_source: Answer, branch: Answer) -> None:
    whole = lineage(facts(image_source=image_source, branch=branch, kio={"scm_url": URL}))
    values = {"image_source": image_source, "branch": branch, "kio": {"scm_url": URL}, **LESS[taken_away]}
    less = lineage(facts(**values))
    for name in LINK_NAMES:
        assert BETTER[less.link(name).state] <= BETTER[whole.link(name).state], name


@pytest.mark.parametrize("taken_away", LESS)
def test_evidence_that_is_taken_away_makes_no_verdict_a_pass(taken_away: str) -> None:
    whole = facts(kio={"active": False}, branch=on(False), commit=answer("missing", "no such commit"))
    less = facts(**{"kio": {"active": False}, "branch": on(False), "commit": whole.commit, **LESS[taken_away]})
    for rule in RULES:
        if verdict(rule.id, whole).outcome != "pass":
            assert verdict(rule.id, less).outcome != "pass", rule.id
