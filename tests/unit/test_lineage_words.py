"""`whence why`: a lineage in one paragraph, which is never surer than the weakest link that a sentence rests on."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from fakes.facts import AT, DOCUMENT, FAILED, FOUND, OWNED, READ, answer, claim, facts, lineage, said
from whence_aggregator.approvals.people import Authors, KnownPeople
from whence_aggregator.approvals.rule import ApprovalPolicy, judge
from whence_aggregator.approvals.values import Approval
from whence_aggregator.trace.facts import NOT_ASKED, Facts
from whence_aggregator.whence.cli import whence
from whence_aggregator.whence.words import paragraph

INSTANCE = "i-0123456789abcdef0"
PROVEN = said(claim("provenance"), scm_source=DOCUMENT)
STATES = ("confirmed", "asserted", "contradicted", "missing", "unknown")


def wire(known: Facts | None = None, /, **states: str) -> dict[str, Any]:
    """Return a lineage as the API shows it; arguments set the states of links."""
    found: dict[str, Any] = lineage(known or facts(life="running", life_since=AT, heard="speaking")).to_wire()
    for link in found["links"]:
        if link["link"] in states:
            link["state"] = states[link["link"]]
            link["reason"] = None if link["state"] in ("confirmed", "asserted") else f"why the {link['link']} is so"
    return found


def test_a_lineage_reads_as_a_paragraph() -> None:
    known = facts(
        life="running", life_since=AT, heard="speaking", ownership=OWNED, kio={"specification_url": "https://s"}
    )
    assert paragraph(wire(known)) == (
        "i-0123456789abcdef0 has been running since 2026-11-22T12:00:00.000Z; its agent reports. "
        "It runs image registry.example.org/demo/greeter:1.0 (confirmed), of application greeter (confirmed), in version "
        "1.0 (asserted). Team hello (confirmed) owns it in account 123456789012 (confirmed). "
        "The image is said to have been built from commit cccccccccccc of git.example.org/demo/greeter by Ada <a@b.c>: "
        "“PAY-7: pay”. The commit names ticket PAY-7, which does not prove that it was changed for it. "
        "Who approved the version is not known. Not known, or disputed: "
        "approval (it is unknown: not configured: the settings have no `approvals`); "
        "review (it is unknown: not configured: reviews of git.example.org are not read); "
        "ticket (trackers are not read: it is not known whether the tickets exist). "
        "Not proved: source (no provenance signed by a trusted builder); "
        "commit (no provenance signed by a trusted builder). "
        "“Asserted” means that one source states it and none contradicts it."
    )


@pytest.mark.parametrize(
    ("cause", "at", "sentence"),
    [
        ("boot", "2026-11-25T12:00:30.000Z", "it has run since 2026-11-22T12:00:00.000Z, 3 days ago (asserted)."),
        ("change", "2026-11-22T13:59:59.000Z",
         "it has run what follows since 2026-11-22T12:00:00.000Z, 119 minutes ago (asserted)."),
        ("stop", "2026-11-22T12:00:01.000Z", "it stopped at 2026-11-22T12:00:00.000Z, 1 second ago (asserted)."),
        ("failed", "2026-11-22T11:00:00.000Z", "its boot failed at 2026-11-22T12:00:00.000Z (asserted)."),
    ],
)  # fmt: skip
def test_without_an_inventory_the_newest_statement_tells_since_when_it_runs(cause: str, at: str, sentence: str) -> None:
    found = {**wire(), "life": "unknown", "life_since": None, "at": at}
    instance = next(link for link in found["links"] if link["link"] == "instance")
    instance["value"] = {**instance["value"], "cause": cause, "observed_at": "2026-11-22T12:00:00.000Z"}
    assert paragraph(found).startswith(
        "It is not known whether i-0123456789abcdef0 runs; its agent reports. "
        f"By the newest statement of its agent, {sentence} It runs image"
    )
    assert "before (asserted)" in paragraph({**found, "heard": None}) or "ago" not in sentence
    assert "newest statement" not in paragraph({**found, "life": "running"})


@pytest.mark.parametrize(
    ("states", "sentence"),
    [
        ({"source": "confirmed", "commit": "confirmed"}, "The image was built from commit cccccccccccc"),
        ({"source": "asserted", "commit": "confirmed"}, "The image is said to have been built from commit"),
        ({"source": "confirmed", "commit": "asserted"}, "The image is said to have been built from commit"),
        ({"source": "contradicted"}, "From which commit the image was built is not known."),
        ({"commit": "missing"}, "From which commit the image was built is not known."),
        ({"source": "confirmed", "commit": "confirmed", "ticket": "confirmed"}, "It was changed for ticket PAY-7."),
        (
            {"source": "asserted", "commit": "confirmed", "ticket": "confirmed"},
            "which does not prove that it was changed",
        ),
        (
            {"source": "confirmed", "commit": "confirmed", "ticket": "asserted"},
            "which does not prove that it was changed",
        ),
        ({"ticket": "missing"}, "For which ticket it was changed is not known."),
        ({"commit": "unknown", "ticket": "confirmed"}, "For which ticket it was changed is not known."),
        ({"image": "contradicted"}, "What runs on it is not known: why the image is so."),
        ({"team": "unknown", "account": "confirmed"}, "It is in account 123456789012 (confirmed)."),
        ({"user_data": "contradicted"}, "user data (sources disagree: why the user_data is so)"),
    ],
)
def test_each_sentence_is_as_strong_as_its_weakest_link(states: dict[str, str], sentence: str) -> None:
    assert sentence in paragraph(wire(**states))


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        (facts(life="terminated", life_since=AT, heard="never"), "has been terminated since 2026-11-22T12:00:00.000Z; no heartbeat"),
        (facts(heard="silent"), "It is not known whether i-0123456789abcdef0 runs; its agent has been silent since"),
        (facts(life="running"), "At 2026-11-22T12:00:00.000Z, i-0123456789abcdef0 was running."),
        (facts(), "At 2026-11-22T12:00:00.000Z, it is not known whether i-0123456789abcdef0 ran."),
        (facts(late=True, life="running"), "Nothing was recorded by then: this was reported later."),
        (facts(stated=FAILED), "What runs on it is not known:"),
        (facts(image_source=PROVEN, ownership=OWNED), "The image was built from commit cccccccccccc"),
        (facts(commit=answer("unknown", "the Git server is away")), "the Git server is away"),
        (facts(commit=NOT_ASKED, image_source=answer("unknown", "away")), "For which ticket it was changed is not known."),
    ],
)  # fmt: skip
def test_presence_and_gaps_are_told(known: Facts, sentence: str) -> None:
    assert sentence in paragraph(wire(known))


def of_link(found: dict[str, Any], name: str) -> dict[str, Any]:
    link: dict[str, Any] = next(one for one in found["links"] if one["link"] == name)
    return link


@pytest.mark.parametrize(
    ("state", "sentence"),
    [("confirmed", "The version was approved by ada, bob."), ("asserted", "The version is said to be approved by ada, bob."),
     ("missing", "The version is not approved as required, only by ada, bob."),
     ("contradicted", "Who approved the version is not known."), ("unknown", "Who approved the version is not known.")],
)  # fmt: skip
def test_only_approvals_that_count_are_told(state: str, sentence: str) -> None:
    found = wire(approval=state)
    given = [("ada", "yes"), ("bob", "yes"), ("ada", "yes"), ("eve", "no"), ("mallory", "unknown")]
    of_link(found, "approval")["value"] = {"approvals": [{"user_id": name, "counts": counts} for name, counts in given]}
    assert sentence in paragraph(found)


def test_an_approval_by_the_author_is_not_told() -> None:
    found = wire(approval="missing")
    judged = judge(
        [Approval(
            digest="sha256:" + "d" * 64, type="CODE_CHANGE", user_id="ada", person="ada", emails=("a@b.c",), notes=None,
            approved_at=AT, ledger_index=1,
        )],
        [], Authors.of_commit("Ada <a@b.c>", "", unproved=""), ApprovalPolicy(teams={}, people=KnownPeople()), required=1,
    )  # fmt: skip
    of_link(found, "approval")["value"] = {"approvals": [one.to_wire() for one in judged.approvals]}
    assert "The version is not approved as required. " in paragraph(found)


def review(*votes: tuple[str, bool], number: int = 7) -> dict[str, Any]:
    given = [{"by": name, "counts": counts} for name, counts in votes]
    return {"number": number, "url": f"https://git.example.org/pull/{number}", "author": "eve", "approvals": given}


@pytest.mark.parametrize(
    ("state", "reviews", "sentence"),
    [
        ("confirmed", [review(("bob", True), ("eve", False))],
         "The commit came in by review https://git.example.org/pull/7 of eve, approved by bob. "),
        ("asserted", [review(("eve", False))],
         "The commit came in by review https://git.example.org/pull/7 of eve, without an approval that counts. "),
        ("asserted", [review(("bob", True))],
         "by review https://git.example.org/pull/7 of eve, approved by bob, which does not prove that this commit was "
         "approved. "),
        ("asserted", [review(("eve", False))], "Not proved: source (no provenance signed by a trusted builder); "
         "commit (no provenance signed by a trusted builder); review (why the review is so)."),
        ("missing", [], "review (it is missing: why the review is so)"),
    ],
)  # fmt: skip
def test_the_review_is_told_with_the_approvals_that_count(
    state: str, reviews: list[dict[str, Any]], sentence: str
) -> None:
    found = wire(review=state)
    of_link(found, "review").update(value={"reviews": reviews}, reason="why the review is so")
    found["not_checked"] = []
    assert sentence in paragraph(found)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("confirmed", "It was changed for ticket PAY-7 (“Pay”, Ready). Also named, but not confirmed: tickets PAY-8, PAY-9: "
         "there is no PAY-8."),
        ("asserted", "The commit names ticket PAY-7 (“Pay”, Ready), which does not prove that it was changed for it. "
         "Also named, but not confirmed: tickets PAY-8, PAY-9: there is no PAY-8."),
    ],
)  # fmt: skip
def test_a_ticket_that_its_tracker_does_not_confirm_is_no_reason_for_the_change(source: str, sentence: str) -> None:
    found = wire(source=source, commit="confirmed", ticket="confirmed")
    tickets = [
        {"id": "PAY-7", "state": "confirmed", "title": "Pay", "status": "Ready"},
        {"id": "PAY-8", "state": "missing"},
        {"id": "PAY-9", "state": "unknown"},
    ]
    of_link(found, "ticket").update(value={"tickets": tickets}, reason="there is no PAY-8")
    assert sentence in paragraph(found)


def test_a_ticket_that_is_only_asserted_beside_a_confirmed_one_is_no_reason_for_the_change() -> None:
    found = wire(source="confirmed", commit="confirmed", ticket="confirmed")
    tickets = [
        {"id": "PAY-7", "state": "confirmed", "title": "Pay", "status": "Ready"},
        {"id": "PAY-8", "state": "asserted", "title": "Later", "status": "Open", "problem": "created-after-merge"},
    ]
    of_link(found, "ticket").update(value={"tickets": tickets}, reason="PAY-8 was created after the merge")
    assert (
        "It was changed for ticket PAY-7 (“Pay”, Ready). Also named, but not confirmed: ticket PAY-8 (“Later”, Open): "
        "PAY-8 was created after the merge."
    ) in paragraph(found)


def test_a_reason_is_told_to_its_end_which_states_what_to_do() -> None:
    found = wire(review="unknown")
    repository = "git.example.org/a-long-group/with-a-subgroup/and-a-name"
    reason = (
        f"withheld: the application does not state {repository} as its own: add it to the application's `repositories`,"
        " or set git_servers.git.example.org.shared"
    )
    of_link(found, "review").update(reason=reason)
    assert f"review (it is unknown: {reason})" in paragraph(found)


@given(st.fixed_dictionaries({}, optional={name: st.sampled_from(STATES) for name in (
    "account", "team", "application", "version", "image", "source", "commit", "ticket",
)}))  # fmt: skip
def test_whatever_the_states_nothing_asserted_is_told_as_proved(states: dict[str, str]) -> None:
    found = wire(**states)
    now = {link["link"]: link["state"] for link in found["links"]}
    text = paragraph(found)
    if "was built from" in text.replace("have been built", ""):
        assert now["source"] == now["commit"] == "confirmed"
    if "It was changed for" in text:
        assert {now[name] for name in ("source", "commit", "ticket")} == {"confirmed"}
    assert text.count("(confirmed)") == sum(
        now[name] == "confirmed"
        for name in ("image", "application", "version")
        if now["image"] in ("confirmed", "asserted")
    ) + sum(now[name] == "confirmed" for name in ("team", "account"))
    assert text.isprintable()


@given(st.text(max_size=30))
def test_text_from_outside_stays_in_the_line(text: str) -> None:
    value = {**FOUND.value, "author": text, "subject": text, "message": text or "x"}
    known = facts(commit=answer("found", **value), image_source=READ, kio={"team_id": text or "t"})
    assert paragraph(wire(known)).isprintable()


def ask(found: dict[str, Any]) -> Result:
    class Fixed:
        def get(self, path: str, **parameters: str | None) -> dict[str, Any]:
            assert (path, parameters) == ("/v1/trace", {"instance": INSTANCE, "at": None, "known_at": None})
            return found

    return CliRunner().invoke(whence.commands["why"], [INSTANCE], obj=Fixed())


def test_it_exits_with_1_while_the_lineage_is_not_complete() -> None:
    assert [ask({**wire(), "complete": complete}).exit_code for complete in (True, False)] == [0, 1]
    assert ask(wire()).stdout.count("\n") == 1
