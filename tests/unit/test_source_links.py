"""The states of source, commit and ticket by who says what: an image's own word is one source, however many read it."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from rich.console import Console

from fakes.facts import AT, DOCUMENT, FOUND, OWNED, READ, URL, answer, claim, facts, lineage, on, said, verdict
from fakes.machine import COMMIT, scm
from whence_aggregator.settings.server import Settings
from whence_aggregator.trace.facts import NOT_ASKED, Answer, Facts
from whence_aggregator.trace.lineage import LINK_NAMES
from whence_aggregator.trace.owned import Ownership
from whence_aggregator.trackers.places import KnownTracker, KnownTrackers
from whence_aggregator.trackers.review import Review
from whence_aggregator.whence.picture import draw, value_text
from whence_aggregator.wiring.parts import required_links
from whence_common.image_provenance import ClaimKind, SourceClaim
from whence_common.scm_source import ScmSource
from whence_common.settings_file import SettingsInvalid
from whence_common.statement import ScmSourceFacts

UNSIGNED = "no provenance signed by a trusted builder"
DIRTY = "the source tree had uncommitted changes"


def states(known: Facts) -> tuple[str, str]:
    found = lineage(known)
    return found.link("source").state, found.link("commit").state


def verdict_of(known: Facts, rule: str) -> str:
    return verdict(rule, known).outcome


def test_agent_and_registry_that_read_one_file_are_one_source() -> None:
    link = lineage(facts()).link("source")
    assert (link.state, link.reason) == ("asserted", UNSIGNED)
    assert [one.source for one in link.evidence] == ["agent", "registry"]


@pytest.mark.parametrize("kind", ["annotation", "index-annotation", "label", "label-schema", "buildkit"])
def test_equal_claims_of_an_image_count_as_one_source(kind: ClaimKind) -> None:
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
    assert link.reason == f"{UNSIGNED}; the default branch main did not reach it at {AT}"
    unasked = facts(image_source=Answer(outcome="unknown", reason="the registry is away"), branch=NOT_ASKED)
    assert lineage(unasked).link("commit").reason == (
        "it is not known whether a trusted builder signed a provenance: the registry is away; "
        "it is not known whether the default branch reaches it: not collected yet"
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
def test_another_registered_repository_contradicts_any_claim_of_the_commit(image_source: Answer) -> None:
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
    without = frozenset(LINK_NAMES) - {"review", "ticket", "specification", "approval"}
    known = facts(image_source=signed, kio={"scm_url": URL}, ownership=OWNED)
    assert not lineage(known).complete
    assert not lineage(known, required=without | {"review"}).complete
    assert not lineage(known, required=without | {"ticket"}).complete
    assert lineage(known, required=without).complete
    assert not lineage(replace(known, ownership=Ownership()), required=without).complete
    assert not lineage(known, required=without | {"specification"}).complete
    assert not lineage(known, required=without | {"approval"}).complete
    for branch in (on(False), on(None, reason="cut off"), NOT_ASKED):
        unmerged = facts(image_source=signed, kio={"scm_url": URL}, branch=branch, ownership=OWNED)
        assert not lineage(unmerged, required=without).complete


def test_the_ticket_link_contains_pattern_and_place_and_the_review() -> None:
    assert lineage(facts()).link("ticket").value == {
        "tickets": [
            {"id": "PAY-7", "pattern": "{project}-{number} at the subject's start", "place": "subject", "line": 1,
             "url": None}
        ],
        "reviews": [{"id": "#3", "pattern": "subject (#{number})", "place": "subject", "line": 1}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("branch", "signature", "text"),
    [
        ({"branch": "main", "reachable": True}, None, "Ada <a@b.c>  on main"),
        ({"branch": "main", "reachable": True, "reached_by": ["heads/release/1", "tags/v1"]}, {"state": "unknown key"},
         "Ada <a@b.c>  on release/1, tags/v1  signature unknown key"),
        ({"branch": "main", "reachable": True, "reached_by": [f"tags/v{one}" for one in range(5)]}, {"state": "none"},
         "Ada <a@b.c>  on tags/v0, tags/v1, tags/v2 and others  signature none"),
        ({"branch": "main", "reachable": False}, {"state": "good", "signer": "ada@example.org"},
         "Ada <a@b.c>  signature good of ada@example.org"),
    ],
)  # fmt: skip
def test_a_commit_is_drawn_with_the_refs_that_reach_it_and_its_signature(
    branch: dict[str, Any], signature: dict[str, Any] | None, text: str
) -> None:
    link: Any = lineage(facts()).link("commit").to_wire()
    link["value"] |= {"branch": branch} | ({"signature": signature} if signature else {})
    assert value_text(link) == f"{COMMIT}  PAY-7: pay  {text}"


@pytest.mark.parametrize(("host", "reason"), [("git.example.org", "withheld: why"), ("other", "reviews are not read")])
def test_a_review_that_is_withheld_was_not_checked_for_this_reason(host: str, reason: str) -> None:
    known = KnownTrackers(by_host={host: KnownTracker(host=host, type="github", reviews=True)})
    found = lineage(replace(facts(), trackers=known, withheld="withheld: why"))
    assert next(one.reason for one in found.not_checked if one.link == "review").startswith(reason)


def test_the_picture_calls_no_lineage_complete_that_was_not_checked() -> None:
    known = facts(
        image_source=said(claim("provenance"), scm_source=DOCUMENT),
        kio={"scm_url": URL, "specification_url": "https://s/"},
        ownership=OWNED,
    )
    out = io.StringIO()
    draw(Console(file=out, width=200), lineage(known).to_wire(), evidence=False)
    text = out.getvalue()
    assert "no gaps, not complete: review was not checked, ticket was not checked" in text
    assert "PAY-7 (line 1: {project}-{number} at the subject's start)" in text
    assert "Ada <a@b.c>  on main" in text
    assert "not checked: review: reviews are not read: it is not known whether the commit was approved" in text


def drawn(found: Any) -> str:
    out = io.StringIO()
    draw(Console(file=out, width=200), found, evidence=False)
    return out.getvalue()


def test_the_picture_names_the_links_that_lack_something_and_are_required() -> None:
    found: Any = lineage(facts()).to_wire()
    found |= {"complete": False, "not_checked": []}
    found["links"] = [
        {**link, "state": "asserted", "lacking": link["link"] in ("commit", "review", "approval")}
        for link in found["links"]
    ]
    assert "no gaps, not complete: commit, review\n" in drawn(found)
    assert "no gaps, not complete: commit, review, it was recorded later\n" in drawn(
        {**found, "recorded_by_then": False}
    )


def test_a_commit_that_no_branch_reaches_is_lacking_on_the_wire() -> None:
    unreached = answer("found", branch="main", reachable=False, head="f" * 40)
    shown = {link["link"]: link["lacking"] for link in lineage(facts(branch=unreached)).to_wire()["links"]}  # type: ignore[attr-defined]  # JSON
    assert [name for name, lacking in shown.items() if lacking] == ["commit"]


@pytest.mark.parametrize(
    ("at", "line"),
    [
        ("2026-11-22T13:00:00.000Z", None),
        ("2026-11-22T13:00:01.000Z", "branches as of 2026-11-22T12:00:00.000Z (60 minutes old)"),
        ("2026-11-30T12:00:00.000Z", "branches as of 2026-11-22T12:00:00.000Z (8 days old)"),
    ],
)
def test_the_picture_shows_the_age_of_an_answer_about_branches_from_an_hour_on(at: str, line: str | None) -> None:
    text = drawn({**lineage(facts()).to_wire(), "at": at})
    assert (line in text) if line else "branches as of" not in text


def test_the_picture_shows_the_age_of_a_review_and_how_its_newest_reading_ended() -> None:
    found: Any = lineage(facts()).to_wire()
    review = next(link for link in found["links"] if link["link"] == "review")
    review["evidence"] = [{"source": "review", "observed_at": "2026-11-19T12:00:00.000Z"}]
    review["value"] = {"reviews": [], "read": "the host is away; next attempt at 2026-11-22T12:05:00.000Z"}
    found["at"] = "2026-11-22T12:00:00.000Z"
    assert (
        "review as of 2026-11-19T12:00:00.000Z (3 days old; the host is away; next attempt at 2026-11-22T12:05:00.000Z)"
    ) in drawn(found)


def test_what_is_required_of_a_lineage_is_a_setting_that_names_links() -> None:
    settings = Settings(audience="https://whence.example.org", accounts=["123456789012"])
    assert required_links(settings) == set(LINK_NAMES) - {"approval"}
    for named in (["image", "commit"], ["approval"]):
        assert required_links(msgspec.structs.replace(settings, required_links=named)) == set(named)
    for wrong in ([], ["image", "tickets"]):
        with pytest.raises(SettingsInvalid, match="required_links"):
            required_links(msgspec.structs.replace(settings, required_links=wrong))


# --- the source, for all that may be known

BUILT = claim("provenance")
NO_FILE = ScmSourceFacts(status="missing", reason="the image has no scm-source.json")
UNREADABLE = ScmSourceFacts(status="unreadable", reason="a layer was cut off")
UNKNOWN_SIGNATURES = "it is not known whether a trusted builder signed a provenance"
AWAY, GONE = answer("unknown", "HTTP 503"), answer("absent", "no such image")
NOTHING_FOUND = answer("missing", "the image has no scm-source.json")
UNSIGNED_DIRTY = f"{DIRTY}; {UNSIGNED}"
FOREIGN = (
    "the labels name https://git.example.org/base/image, which is not the application's registered repository, so they "
    "may be the base image's"
)
BASE_IMAGES = SourceClaim(
    kind="label",
    source=ScmSource(url="https://git.example.org/base/image", revision="e" * 40, author="", status="", digest=""),
    maybe_inherited=True,
)


@pytest.mark.parametrize(
    ("changes", "state", "reason"),
    [
        # who has read the image's own file
        ({}, "asserted", UNSIGNED),
        ({"image_source": AWAY}, "asserted", f"{UNKNOWN_SIGNATURES}: HTTP 503"),
        ({"image_source": GONE}, "asserted", UNSIGNED),
        ({"stated": {"scm_source": NO_FILE}}, "asserted", UNSIGNED),
        ({"stated": {"scm_source": None}}, "asserted", UNSIGNED),
        # nobody names a source
        (
            {"stated": {"scm_source": NO_FILE}, "image_source": NOTHING_FOUND},
            "missing",
            "the image has no scm-source.json",
        ),
        ({"stated": {"scm_source": None}, "image_source": NOTHING_FOUND}, "missing", "the image has no scm-source.json"),
        ({"stated": {"scm_source": None}, "image_source": answer("missing")}, "missing", "the image names no source"),
        ({"stated": {"scm_source": UNREADABLE}, "image_source": AWAY}, "missing", "a layer was cut off"),
        ({"stated": {"scm_source": None}, "image_source": AWAY}, "unknown", "HTTP 503"),
        ({"stated": {"scm_source": None}, "image_source": GONE}, "unknown", "no such image"),
        (
            {"stated": {"scm_source": None}, "image_source": answer("missing", unknown=["not all was read"])},
            "unknown",
            "not all was read",
        ),
        (
            {
                "stated": {"scm_source": NO_FILE},
                "image_source": said(BASE_IMAGES),
                "kio": {"scm_url": URL},
            },
            "unknown",
            FOREIGN,
        ),
        # agent and registry
        (
            {"image_source": answer("missing", "no such file")},
            "contradicted",
            "the agent and the registry read different sources from the same image",
        ),
        (
            {"image_source": answer("found", scm_source={**DOCUMENT, "digest": "sha256:" + "6" * 64})},
            "contradicted",
            "the agent and the registry read different sources from the same image",
        ),
        # a builder's signature
        ({"image_source": said(BUILT, scm_source=DOCUMENT)}, "confirmed", None),
        ({"image_source": said(BUILT), "stated": {"scm_source": NO_FILE}}, "confirmed", None),
        (
            {"image_source": said(claim("provenance", status="modified")), "stated": {"scm_source": NO_FILE}},
            "confirmed",
            DIRTY,
        ),
        (
            {"image_source": said(BUILT, claim("annotation", revision="e" * 40)), "stated": {"scm_source": NO_FILE}},
            "contradicted",
            f"provenance of b states {COMMIT} of {URL}, and annotation states {'e' * 40} of {URL}",
        ),
        (
            {
                "image_source": said(BUILT, claim("provenance", url="https://git.example.org/demo/other")),
                "stated": {"scm_source": NO_FILE},
            },
            "contradicted",
            f"provenance of b states {COMMIT} of {URL}, and provenance of b states {COMMIT} of "
            "https://git.example.org/demo/other",
        ),
        # a registration
        ({"kio": {"scm_url": URL}}, "asserted", UNSIGNED),
        (
            {"kio": {"scm_url": "https://git.example.org/demo/other"}},
            "contradicted",
            f"scm-source states {COMMIT} of {URL}, and the application is registered with the repository "
            "https://git.example.org/demo/other",
        ),
        ({"application": None}, "asserted", UNSIGNED),
        # a tree with changes
        (
            {"image_source": answer("found", scm_source={**DOCUMENT, "status": " M a"}),
             "stated": {"scm_source": scm(**{**DOCUMENT, "status": " M a"})}},
            "asserted",
            UNSIGNED_DIRTY,
        ),
    ],
)  # fmt: skip
def test_the_source_is_confirmed_by_a_builder_and_contradicted_by_a_different_claim(
    changes: dict[str, Any], state: str, reason: str | None
) -> None:
    found = lineage(facts(**changes)).link("source")
    assert (found.state, found.reason) == (state, reason)


def test_labels_that_may_be_a_base_images_are_named_as_such_and_contradict_nothing() -> None:
    known = facts(image_source=said(BASE_IMAGES), stated={"scm_source": NO_FILE})
    found = lineage(known).link("source")
    assert found.value is not None
    assert (found.state, found.value["url"]) == ("asserted", "https://git.example.org/base/image")
    assert found.value["notes"] == [
        "the labels may be the base image's: the image does not state its base by digest"
    ]  # fmt: skip
    built = lineage(facts(image_source=said(BASE_IMAGES, BUILT), stated={"scm_source": NO_FILE})).link("source")
    assert (built.state, (built.value or {})["url"]) == ("confirmed", URL)


def test_a_file_that_is_known_to_be_the_base_images_does_not_count() -> None:
    known = facts(image_source=answer("missing", "only the base image has one", inherited=True))
    found = lineage(known).link("source")
    assert (found.state, found.reason) == ("missing", "only the base image has one")


# --- the commit


@pytest.mark.parametrize(
    ("changes", "state", "reason"),
    [
        ({}, "asserted", UNSIGNED),
        ({"image_source": said(BUILT, scm_source=DOCUMENT)}, "confirmed", None),
        (
            {"image_source": said(BUILT, scm_source=DOCUMENT), "branch": on(False)},
            "asserted",
            f"the default branch main did not reach it at {AT}",
        ),
        (
            {"image_source": said(BUILT, scm_source=DOCUMENT), "branch": on(None, branch=None, reason="HEAD is detached")},
            "asserted",
            "it is not known whether the default branch reaches it: HEAD is detached",
        ),
        (
            {"image_source": said(BUILT, scm_source=DOCUMENT), "kio": {"scm_url": "https://git.example.org/demo/x"}},
            "asserted",
            "the statements about the image's source contradict each other",
        ),
        (
            {"stated": {"scm_source": scm(**{**DOCUMENT, "status": " M a"})}},
            "contradicted",
            "the commit exists, but the image was built from a tree with uncommitted changes",
        ),
        ({"stated": {"scm_source": None}, "image_source": AWAY}, "unknown", "no source is known for the image"),
        (
            {"image_source": answer("found", scm_source={**DOCUMENT, "revision": "main"}),
             "stated": {"scm_source": scm(**{**DOCUMENT, "revision": "main"})}},
            "missing",
            "the source's revision is not a commit id: 'main'",
        ),
        ({"commit": NOT_ASKED}, "unknown", "not collected yet"),
        ({"commit": answer("unknown", "HTTP 500")}, "unknown", "HTTP 500"),
        ({"commit": answer("missing", "no such commit")}, "missing", "no such commit"),
        ({"commit": answer("absent", "no such repository")}, "missing", "no such repository"),
    ],
)  # fmt: skip
def test_the_commit_is_confirmed_by_a_builder_and_the_default_branch_together(
    changes: dict[str, Any], state: str, reason: str | None
) -> None:
    found = lineage(facts(**changes)).link("commit")
    assert (found.state, found.reason) == (state, reason)


def test_a_commit_is_shown_as_git_has_it_and_with_where_the_branch_stood() -> None:
    found = lineage(facts()).link("commit")
    assert found.value == {
        "commit": COMMIT,
        "url": URL,
        "repository": "git.example.org/demo/greeter",
        "subject": "PAY-7: pay",
        "author": "Ada <a@b.c>",
        "committed_at": AT,
        "branch": {"branch": "main", "head": "f" * 40, "reachable": True},
    }
    assert [(one.source, one.ledger_index) for one in found.evidence] == [("agent", 2), ("git", 4), ("git-branch", 5)]


# --- the ticket


REVIEWED = answer("found", reviews=[
    Review(
        number=3, url="https://git.example.org/pull/3", title="Pay", text="", branch="pay", base="main", head="1" * 40,
        author="ada", author_bot=False, merged_at=AT, merged_by="bob", merge_commit=COMMIT, how="squash",
    ).to_wire()
])  # fmt: skip


def message(text: str) -> Answer:
    return answer("found", **{**FOUND.value, "message": text})


@pytest.mark.parametrize(
    ("changes", "state", "reason", "tickets"),
    [
        ({}, "asserted", None, ["PAY-7"]),
        ({"commit": message("pay")}, "missing", "the commit message names no ticket", []),
        (
            {"commit": message("pay (#3)")},
            "missing",
            "the commit message names no ticket; #3 is the number of a review",
            [],
        ),
        (
            {"commit": message("pay for JIRA:7"), "tickets": {"patterns": ["JIRA:{number}"]}},
            "asserted",
            None,
            ["JIRA:7"],
        ),
        (
            {"commit": message("PAY-7: pay"), "tickets": {"patterns": ["JIRA:{number}"]}},
            "missing",
            "the commit message names no ticket like JIRA:{number}",
            [],
        ),
        (
            {
                "commit": message("pay (#3)"),
                "tickets": {"patterns": ["JIRA:{number}", "AB#{number}"]},
                "review": REVIEWED,
            },
            "missing",
            "the commit message and its review name no ticket like JIRA:{number}, AB#{number}; #3 is the number of a"
            " review",
            [],
        ),
        ({"application": None}, "asserted", None, ["PAY-7"]),
        ({"commit": NOT_ASKED}, "unknown", "the commit was not read: not collected yet", None),
        ({"commit": answer("missing", "no such commit")}, "unknown", "the commit was not read: no such commit", None),
    ],
)
def test_the_ticket_is_asserted_by_the_commit_message_only(
    changes: dict[str, Any], state: str, reason: str | None, tickets: list[str] | None
) -> None:
    found = lineage(facts(**changes)).link("ticket")
    assert (found.state, found.reason) == (state, reason)
    assert (None if found.value is None else [one["id"] for one in found.value["tickets"]]) == tickets


def test_a_ticket_has_its_address_where_the_application_names_a_tracker() -> None:
    found = lineage(
        facts(tickets={"patterns": ["PAY-{number}"], "url": "https://jira.example.org/browse/{ticket}"})
    ).link("ticket")
    assert (found.value or {})["tickets"][0]["url"] == "https://jira.example.org/browse/PAY-7"
