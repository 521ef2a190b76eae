"""`whence why`: a lineage in one paragraph, which is never surer than the weakest link that a sentence rests on."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from fakes.facts import AT, DOCUMENT, FAILED, FOUND, OWNED, READ, answer, claim, facts, lineage, said
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
        "Who approved it is not known. Not known, or disputed: "
        "approval (it is unknown: not configured: the settings have no `approvals`); "
        "review (it is unknown: not configured: reviews of git.example.org are not read); "
        "ticket (trackers are not read: it is not known whether the tickets exist). "
        "“Asserted” means that one source states it and none contradicts it."
    )


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


@pytest.mark.parametrize(
    ("state", "sentence"),
    [("confirmed", "It was approved by ada, bob."), ("asserted", "It is said to be approved by ada, bob."),
     ("missing", "Who approved it is not known."), ("contradicted", "Who approved it is not known.")],
)  # fmt: skip
def test_only_approvals_that_count_are_told(state: str, sentence: str) -> None:
    found = wire(approval=state)
    given = [("ada", True), ("bob", True), ("ada", True), ("eve", False)]
    approval = next(one for one in found["links"] if one["link"] == "approval")
    approval["value"] = {"approvals": [{"user_id": name, "counts": counts} for name, counts in given]}
    assert sentence in paragraph(found)


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
