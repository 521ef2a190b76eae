"""The states of source, commit and ticket by who says what: an image's own word is one source, however many read it."""

from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console

from fakes.facts import AT, DOCUMENT, FOUND, READ, URL, claim, facts, lineage, on, said, verdict
from whence_aggregator.settings.server import Settings
from whence_aggregator.trace.facts import NOT_ASKED, Answer, Facts
from whence_aggregator.trace.lineage import LINK_NAMES
from whence_aggregator.whence.picture import draw
from whence_aggregator.wiring.parts import required_links
from whence_common.image_provenance import Kind
from whence_common.settings_file import SettingsInvalid

NOT_CONFIRMED = "no trusted builder has signed where the image comes from"


def states(known: Facts) -> tuple[str, str]:
    found = lineage(known)
    return found.link("source").state, found.link("commit").state


def verdict_of(known: Facts, rule: str) -> str:
    return verdict(rule, known).outcome


def test_agent_and_registry_that_read_one_file_are_one_source() -> None:
    link = lineage(facts()).link("source")
    assert (link.state, link.reason) == ("asserted", NOT_CONFIRMED)
    assert [one.source for one in link.evidence] == ["agent", "registry"]


@pytest.mark.parametrize("kind", ["annotation", "index-annotation", "label", "label-schema", "buildkit"])
def test_an_image_that_says_the_same_twice_is_still_one_source(kind: ClaimKind) -> None:
    assert states(facts(image_source=said(claim(kind), scm_source=DOCUMENT))) == ("asserted", "asserted")


def test_a_trusted_builder_confirms_the_source_and_with_the_default_branch_the_commit() -> None:
    signed = said(claim("provenance"), scm_source=DOCUMENT)
    assert states(facts(image_source=signed)) == ("confirmed", "confirmed")
    assert states(facts(image_source=signed, branch=on(False))) == ("confirmed", "asserted")
    assert states(facts(image_source=signed, branch=on(None, reason="cut off"))) == ("confirmed", "asserted")
    assert states(facts(image_source=signed, branch=NOT_ASKED)) == ("confirmed", "asserted")
    other = said(claim("provenance"), claim("annotation", revision="e" * 40), scm_source=DOCUMENT)
    assert states(facts(image_source=other)) == ("contradicted", "asserted")


def test_the_reason_of_an_asserted_commit_names_all_that_is_missing() -> None:
    link = lineage(facts(branch=on(False))).link("commit")
    assert link.reason == f"{NOT_CONFIRMED}; the default branch main did not reach it at {AT}"
    unasked = facts(image_source=Answer(outcome="unknown", reason="the registry is away"), branch=NOT_ASKED)
    assert lineage(unasked).link("commit").reason == (
        "whether a trusted builder has signed where the image comes from is not known: the registry is away; "
        "whether the default branch reaches it is not known: no source was asked yet"
    )


@pytest.mark.parametrize(
    "scm_url", ["git@git.example.org:demo/greeter.git", "ssh://git@GIT.example.org:7999/demo/greeter/"]
)
def test_the_registered_repository_confirms_the_repository_and_nothing_more(scm_url: str) -> None:
    link = lineage(facts(kio={"scm_url": scm_url})).link("source")
    assert link.value is not None
    assert (link.state, link.value["repository_confirmed"], link.value["registered_url"]) == ("asserted", True, scm_url)
    assert "application-registry" in [one.source for one in link.evidence]


@pytest.mark.parametrize(
    "image_source", [READ, said(claim("provenance")), said(claim("provenance"), scm_source=DOCUMENT)]
)
def test_another_registered_repository_contradicts_whoever_names_the_commit(image_source: Answer) -> None:
    known = facts(kio={"scm_url": "https://git.example.org/demo/other"}, image_source=image_source)
    assert states(known) == ("contradicted", "asserted")
    assert verdict_of(known, "source-missing") == "fail"


@pytest.mark.parametrize("scm_url", [None, "", "https://git.example.org/demo", "see the wiki", "git@work:demo/greeter"])
def test_a_registration_that_names_no_certain_repository_is_not_held_against_the_image(scm_url: str | None) -> None:
    link = lineage(facts(kio={"scm_url": scm_url})).link("source")
    assert link.value is not None
    assert (link.state, link.value["repository_confirmed"]) == ("asserted", False)


@pytest.mark.parametrize(
    "commit, branch, outcome",
    [
        (FOUND, on(True), "pass"),
        (FOUND, on(False), "fail"),
        (FOUND, on(None, reason="cut off"), "unknown"),
        (FOUND, on(None, branch=None, reason="its HEAD is detached"), "unknown"),
        (FOUND, NOT_ASKED, "unknown"),
        (NOT_ASKED, NOT_ASKED, "unknown"),
        (Answer(outcome="missing", reason="no such commit"), NOT_ASKED, "unknown"),
    ],
)
def test_a_commit_fails_as_unmerged_only_where_git_denied_it(commit: Answer, branch: Answer, outcome: str) -> None:
    assert verdict_of(facts(commit=commit, branch=branch), "commit-unmerged") == outcome


def test_applications_that_are_not_active_or_not_known_show_in_the_verdicts() -> None:
    assert verdict_of(facts(), "application-inactive") == "pass"
    assert verdict_of(facts(kio={"active": False}), "application-inactive") == "fail"
    unknown = facts(application=None)
    assert (verdict_of(unknown, "application-inactive"), verdict_of(unknown, "application-unregistered")) == (
        "unknown", "fail",
    )  # fmt: skip


def test_a_lineage_is_complete_only_when_all_that_is_required_is_there_and_was_checked() -> None:
    signed = said(claim("provenance"), scm_source=DOCUMENT)
    without = frozenset(LINK_NAMES) - {"ticket", "specification"}
    known = facts(image_source=signed, kio={"scm_url": URL})
    assert not lineage(known).complete
    assert not lineage(known, required=without | {"review"}).complete
    assert not lineage(known, required=without | {"ticket"}).complete
    assert lineage(known, required=without).complete
    assert not lineage(known, required=without | {"specification"}).complete
    for branch in (on(False), on(None, reason="cut off"), NOT_ASKED):
        assert not lineage(facts(image_source=signed, kio={"scm_url": URL}, branch=branch), required=without).complete


def test_the_ticket_says_which_pattern_matched_where_and_the_review_beside_it() -> None:
    assert lineage(facts()).link("ticket").value == {
        "tickets": [
            {"id": "PAY-7", "pattern": "{project}-{number} at the subject's start", "place": "subject", "line": 1,
             "url": None}
        ],
        "reviews": [{"id": "#3", "pattern": "subject (#{number})", "place": "subject", "line": 1}],
    }  # fmt: skip


def test_the_picture_calls_no_lineage_complete_that_was_not_checked() -> None:
    known = facts(
        image_source=said(claim("provenance"), scm_source=DOCUMENT),
        kio={"scm_url": URL, "specification_url": "https://s/"},
    )
    out = io.StringIO()
    draw(Console(file=out, width=200), lineage(known).to_wire(), evidence=False)
    text = out.getvalue()
    assert "no gaps, not complete" in text
    assert "PAY-7 (line 1: {project}-{number} at the subject's start)" in text
    assert "Ada <a@b.c>  on main" in text
    assert "not checked: review: reviews are not read: whether anybody approved the commit is not known" in text


def test_what_is_required_of_a_lineage_is_a_setting_that_names_links() -> None:
    settings = Settings(audience="https://whence.example.org", accounts=["123456789012"])
    assert required_links(settings) == {*LINK_NAMES, "review"}
    assert required_links(msgspec.structs.replace(settings, required_links=["image", "commit"])) == {"image", "commit"}
    for wrong in ([], ["image", "tickets"]):
        with pytest.raises(SettingsInvalid, match="required_links"):
            required_links(msgspec.structs.replace(settings, required_links=wrong))
