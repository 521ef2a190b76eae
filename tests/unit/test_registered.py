"""Several repositories and trackers of an application in a lineage, and entries that have one of each."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.facts import FOUND, READ, URL, facts, lineage
from fakes.machine import COMMIT
from whence_aggregator.trace.facts import Answer
from whence_aggregator.trace.registered import Tracker, closest, repositories_of, trackers_of
from whence_common.image_provenance import SourceClaim
from whence_common.scm_source import ScmSource

OTHER, THIRD = "https://git.example.org/demo/other", "git@git.example.org:demo/third.git"
JIRA = Tracker(pattern="{project}-{number}", type="jira", project="PAY", url="https://jira.example.org/browse/{ticket}")
GITHUB = Tracker(pattern="#{number}", type="github", url="https://git.example.org/issues?id={ticket}")


def test_entries_of_version_1_have_one_repository_and_one_url_for_all_patterns() -> None:
    body: dict[str, Any] = {
        "kio": {"scm_url": URL}, "tickets": {"patterns": ["PAY-{number}", "#{number}"], "url": "https://t/{ticket}"},
    }  # fmt: skip
    assert repositories_of(body) == (URL,)
    assert trackers_of(body) == (
        Tracker(pattern="PAY-{number}", url="https://t/{ticket}"), Tracker(pattern="#{number}", url="https://t/{ticket}"),
    )  # fmt: skip
    assert (repositories_of({"kio": {"scm_url": ""}}), trackers_of({"kio": {}, "tickets": None})) == ((), ())


@pytest.mark.parametrize(
    "repositories", [(URL,), (OTHER, URL), (OTHER, THIRD, "ssh://git@git.example.org/demo/greeter")]
)
def test_the_repository_is_confirmed_by_any_that_is_registered(repositories: tuple[str, ...]) -> None:
    link = lineage(facts(kio={"scm_url": repositories[0]}, repositories=repositories[1:])).link("source")
    assert link.value is not None
    assert (link.state, link.value["repository_confirmed"], link.value["registered_url"]) == (
        "asserted", True, repositories[-1],
    )  # fmt: skip


def test_a_source_that_is_none_of_the_registered_repositories_is_contradicted() -> None:
    link = lineage(facts(kio={"scm_url": OTHER}, repositories=(THIRD,))).link("source")
    assert (link.state, link.reason) == (
        "contradicted",
        f"scm-source states {COMMIT} of {URL}, and the application is registered with the repository {OTHER}",
    )


def test_a_repository_that_may_be_the_same_contradicts_nothing() -> None:
    assert closest((OTHER, "https://git.example.org/demo"), URL) == ("https://git.example.org/demo", "unclear")
    assert closest((), URL) == (None, "unclear")
    assert closest((OTHER,), "") == (OTHER, "unclear")


def test_labels_that_name_a_further_repository_are_the_applications_own() -> None:
    stated = ScmSource(url=URL, revision=COMMIT, author="", status="", digest="")
    claims = [SourceClaim(kind="label", source=stated, maybe_inherited=True).to_wire()]
    read = Answer(outcome="found", value={"claims": claims}, observed_at=READ.observed_at, ledger_index=3)
    known: dict[str, Any] = {"image_source": read, "stated": {"scm_source": None}}
    assert lineage(facts(kio={"scm_url": OTHER}, **known)).link("source").state == "unknown"
    found = lineage(facts(kio={"scm_url": OTHER}, repositories=(URL,), **known)).link("source")
    assert (found.state, (found.value or {})["repository_confirmed"]) == ("asserted", True)


def test_each_ticket_has_the_url_and_the_type_of_its_tracker() -> None:
    message = Answer(
        outcome="found", value={**FOUND.value, "message": "PAY-7: pay\n\nOTHER-8 too, see #9."},
        observed_at=FOUND.observed_at, ledger_index=4,
    )  # fmt: skip
    link = lineage(facts(trackers=(JIRA, GITHUB), commit=message)).link("ticket")
    assert [(one["id"], one["pattern"], one["url"], one["tracker"]) for one in (link.value or {})["tickets"]] == [
        ("PAY-7", "PAY-{number}", "https://jira.example.org/browse/PAY-7", "jira"),
        ("#9", "#{number}", "https://git.example.org/issues?id=#9", "github"),
    ]
