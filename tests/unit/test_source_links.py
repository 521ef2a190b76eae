"""The states of source, commit and ticket by who says what: an image's own word is one source, however many read it."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest
from rich.console import Console

from fakes.machine import COMMIT, Machine, scm
from fakes.signing_authority import SigningAuthority
from whence_aggregator.compliance.rule import InstanceEvidence
from whence_aggregator.compliance.rules.catalogue import RULES
from whence_aggregator.settings.server import Settings
from whence_aggregator.trace.derive import derive
from whence_aggregator.trace.facts import NOT_ASKED, Answer, Binding, Facts, Registered, StoredStatement
from whence_aggregator.trace.lineage import LINK_NAMES, Lineage
from whence_aggregator.trace.moment import Moment
from whence_aggregator.whence.picture import draw
from whence_aggregator.wiring.parts import required_links
from whence_common.clock import parse_instant
from whence_common.image_provenance import ClaimKind, SourceClaim
from whence_common.scm_source import ScmSource
from whence_common.settings_file import SettingsInvalid

URL = "https://git.example.org/demo/greeter"
AT = "2026-11-22T12:00:00.000Z"
DOCUMENT = {"url": URL, "revision": COMMIT, "author": "ada", "status": "", "digest": "sha256:" + "5" * 64}
READ = Answer(outcome="found", value={"scm_source": DOCUMENT}, observed_at=AT, ledger_index=3)
FOUND = Answer(
    outcome="found",
    value={"repository": "git.example.org/demo/greeter", "subject": "PAY-7: pay", "author": "Ada <a@b.c>",
           "committed_at": AT, "message": "PAY-7: pay (#3)"},
    observed_at=AT, ledger_index=4,
)  # fmt: skip
NOT_CONFIRMED = "no trusted builder has signed where the image comes from"


def claim(kind: ClaimKind, **changes: str) -> SourceClaim:
    named = {"url": URL, "revision": COMMIT, "author": "", "status": "", "digest": "", **changes}
    return SourceClaim(kind=kind, by="b" if kind == "provenance" else "", source=ScmSource(**named))  # type: ignore[arg-type]  # all text


def said(*claims: SourceClaim, **value: object) -> Answer:
    return Answer(outcome="found", value={"claims": [one.to_wire() for one in claims], **value}, observed_at=AT)


def on(reachable: bool | None = True, *, branch: str | None = "main", reason: str = "") -> Answer:
    value = {"branch": branch, "head": "f" * 40, "reachable": reachable}
    return Answer(outcome="found" if branch else "missing", value=value, reason=reason, observed_at=AT, ledger_index=5)


@pytest.fixture
def world(authority: SigningAuthority) -> Any:
    """Return what makes facts of an instance that runs an image."""

    def facts(*, scm_url: str | None = None, active: bool = True, seen: Any = None, **changes: Any) -> Facts:
        predicate = Machine(authority).predicate(scm_source=seen or scm(**DOCUMENT))
        statement = StoredStatement(
            digest="sha256:" + "1" * 64, ledger_index=2, instance_id="i-0123456789abcdef0", observed_at=AT,
            recorded_at=AT, enrolment=1, predicate=predicate,
        )  # fmt: skip
        kio = {"team_id": "hello", "name": "Greeter", "active": active, "scm_url": scm_url}
        identity = {
            "account_id": "123456789012",
            "region": "eu-central-1",
            "instance_type": "t3.micro",
            "image_id": "ami-1",
        }
        values: dict[str, Any] = {
            "statement": statement,
            "binding": Binding(number=1, level="document", enrolled_at=AT, ledger_index=1, identity=identity),
            "application": Registered(recorded_at=AT, ledger_index=0, kio=kio, tickets={}),
            "image_source": READ, "commit": FOUND, "branch": on(), "last_seen": AT, **changes,
        }  # fmt: skip
        return Facts(**values)

    return facts


def lineage(facts: Facts, **options: Any) -> Lineage:
    return derive(facts, moment=Moment(at=AT, known_at=AT), **options)


def states(facts: Facts) -> tuple[str, str]:
    found = lineage(facts)
    return found.link("source").state, found.link("commit").state


def verdict(facts: Facts, rule: str) -> tuple[str, str]:
    evidence: dict[str, Any] = {
        "facts": facts, "lineage": lineage(facts), "now": parse_instant(AT), "silent_after_seconds": 300.0,
        "listening_since": parse_instant(AT),
    }  # fmt: skip
    found = next(one for one in RULES if one.id == rule).judge(InstanceEvidence(**evidence))
    return found.outcome, found.reason


def test_agent_and_registry_that_read_one_file_are_one_source(world: Any) -> None:
    link = lineage(world()).link("source")
    assert (link.state, link.reason) == ("asserted", NOT_CONFIRMED)
    assert [one.source for one in link.evidence] == ["agent", "registry"]


@pytest.mark.parametrize("kind", ["annotation", "index-annotation", "label", "label-schema", "buildkit"])
def test_an_image_that_says_the_same_twice_is_still_one_source(world: Any, kind: ClaimKind) -> None:
    assert states(world(image_source=said(claim(kind), scm_source=DOCUMENT))) == ("asserted", "asserted")


def test_a_trusted_builder_confirms_the_source_and_with_the_default_branch_the_commit(world: Any) -> None:
    signed = said(claim("provenance"), scm_source=DOCUMENT)
    assert states(world(image_source=signed)) == ("confirmed", "confirmed")
    assert states(world(image_source=signed, branch=on(False))) == ("confirmed", "asserted")
    assert states(world(image_source=signed, branch=on(None, reason="cut off"))) == ("confirmed", "asserted")
    assert states(world(image_source=signed, branch=NOT_ASKED)) == ("confirmed", "asserted")
    other = said(claim("provenance"), claim("annotation", revision="e" * 40), scm_source=DOCUMENT)
    assert states(world(image_source=other)) == ("contradicted", "asserted")


def test_the_reason_of_an_asserted_commit_names_all_that_is_missing(world: Any) -> None:
    link = lineage(world(branch=on(False))).link("commit")
    assert link.reason == f"{NOT_CONFIRMED}; the default branch main did not reach it at {AT}"
    unasked = world(image_source=Answer(outcome="unknown", reason="the registry is away"), branch=NOT_ASKED)
    assert lineage(unasked).link("commit").reason == (
        "whether a trusted builder has signed where the image comes from is not known: the registry is away; "
        "whether the default branch reaches it is not known: no source was asked yet"
    )


@pytest.mark.parametrize(
    "scm_url", ["git@git.example.org:demo/greeter.git", "ssh://git@GIT.example.org:7999/demo/greeter/"]
)
def test_the_registered_repository_confirms_the_repository_and_nothing_more(world: Any, scm_url: str) -> None:
    link = lineage(world(scm_url=scm_url)).link("source")
    assert link.value is not None
    assert (link.state, link.value["repository_confirmed"], link.value["registered_url"]) == ("asserted", True, scm_url)
    assert "application-registry" in [one.source for one in link.evidence]


@pytest.mark.parametrize(
    "image_source", [READ, said(claim("provenance")), said(claim("provenance"), scm_source=DOCUMENT)]
)
def test_another_registered_repository_contradicts_whoever_names_the_commit(world: Any, image_source: Answer) -> None:
    facts = world(scm_url="https://git.example.org/demo/other", image_source=image_source)
    assert states(facts) == ("contradicted", "asserted")
    assert verdict(facts, "source-missing")[0] == "fail"


@pytest.mark.parametrize("scm_url", [None, "", "https://git.example.org/demo", "see the wiki", "git@work:demo/greeter"])
def test_a_registration_that_names_no_certain_repository_is_not_held_against_the_image(
    world: Any, scm_url: str | None
) -> None:
    link = lineage(world(scm_url=scm_url)).link("source")
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
def test_a_commit_fails_as_unmerged_only_where_git_denied_it(
    world: Any, commit: Answer, branch: Answer, outcome: str
) -> None:
    assert verdict(world(commit=commit, branch=branch), "commit-unmerged")[0] == outcome


def test_applications_that_are_not_active_or_not_known_show_in_the_verdicts(world: Any) -> None:
    assert verdict(world(), "application-inactive")[0] == "pass"
    assert verdict(world(active=False), "application-inactive")[0] == "fail"
    unknown = world(application=None)
    assert (verdict(unknown, "application-inactive")[0], verdict(unknown, "application-unregistered")[0]) == (
        "unknown", "fail",
    )  # fmt: skip


def test_a_lineage_is_complete_only_when_all_that_is_required_is_there_and_was_checked(world: Any) -> None:
    signed = said(claim("provenance"), scm_source=DOCUMENT)
    without = frozenset(LINK_NAMES) - {"ticket", "specification"}
    facts = world(image_source=signed, scm_url=URL)
    assert not lineage(facts).complete
    assert not lineage(facts, required=without | {"review"}).complete
    assert not lineage(facts, required=without | {"ticket"}).complete
    assert lineage(facts, required=without).complete
    assert not lineage(facts, required=without | {"specification"}).complete
    for branch in (on(False), on(None, reason="cut off"), NOT_ASKED):
        assert not lineage(world(image_source=signed, scm_url=URL, branch=branch), required=without).complete


def test_the_ticket_says_which_pattern_matched_where_and_the_review_beside_it(world: Any) -> None:
    assert lineage(world()).link("ticket").value == {
        "tickets": [
            {"id": "PAY-7", "pattern": "{project}-{number} at the subject's start", "place": "subject", "line": 1,
             "url": None}
        ],
        "reviews": [{"id": "#3", "pattern": "subject (#{number})", "place": "subject", "line": 1}],
    }  # fmt: skip


def test_the_picture_calls_no_lineage_complete_that_was_not_checked(world: Any) -> None:
    kio = {"team_id": "hello", "name": "Greeter", "active": True, "scm_url": URL, "specification_url": "https://s/"}
    facts = world(
        image_source=said(claim("provenance"), scm_source=DOCUMENT),
        application=Registered(recorded_at=AT, ledger_index=0, kio=kio, tickets={}),
    )
    out = io.StringIO()
    draw(Console(file=out, width=200), lineage(facts).to_wire(), evidence=False)
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
