"""The picture of a lineage: stages, lines, contradictions, evidence, and the strip for lists."""

from __future__ import annotations

from typing import Any

from fakes.instance_answers import change, instance_answer, link_of, whole_answer
from whence_aggregator.console.chain import ShownLink, mini, stages
from whence_aggregator.console.headline import headline
from whence_aggregator.console.link_words import STAGES, source_name, stated
from whence_aggregator.trace.lineage import LINK_NAMES


def _links(answer: dict[str, Any]) -> dict[str, ShownLink]:
    found = stages(answer["lineage"], headline(answer["lineage"]), answer["statements"])
    return {link.link: link for stage in found for link in stage.links}


def test_the_stages_hold_every_link_of_a_lineage_in_its_order() -> None:
    assert tuple(name for _, names in STAGES for name in names) == LINK_NAMES


def test_the_link_that_decides_is_open_and_of_a_whole_chain_the_ticket() -> None:
    assert [link.link for link in _links(instance_answer("dirty")).values() if link.is_open] == ["commit"]
    assert [link.link for link in _links(instance_answer("five-mistakes")).values() if link.is_open] == ["user_data"]
    assert [link.link for link in _links(whole_answer()).values() if link.is_open] == ["ticket"]


def test_what_lies_beyond_a_contradiction_is_marked() -> None:
    links = _links(instance_answer("dirty"))
    assert [link.link for link in links.values() if link.is_beyond] == ["ticket", "specification"]
    assert [link.link for link in links.values() if link.is_broken] == ["approval", "commit", "review"]


def test_both_voices_of_a_dirty_tree_stand_side_by_side_with_what_follows() -> None:
    voices = _links(instance_answer("dirty"))["commit"].voices
    assert [(one.heading, one.text, one.code, one.is_odd) for one in voices] == [
        ("Git states", "Commit 00f8e029 “DEMO-2: greet politely” is on main, by Ada <ada@example.org>.", (), False),
        ("The image states", "It was built from 00f8e029 with local changes:", [" M greeting.txt"], True),
        (
            "What follows",
            "Ticket and specification are stated for what the commit names; they are not proved for what runs.",
            (),
            False,
        ),
    ]  # fmt: skip


def test_a_contradicted_source_shows_each_claim() -> None:
    claims = [
        {"kind": "provenance", "by": "builder", "url": "https://git.example.org/a", "revision": "aaaa"},
        {"kind": "scm-source", "by": "", "url": "https://git.example.org/b", "revision": "bbbb"},
    ]
    answer = whole_answer()
    value = {**link_of(answer, "source")["value"], "claims": claims}
    voices = _links(change(answer, "source", state="contradicted", reason="two", value=value))["source"].voices
    assert [(one.heading, one.text) for one in voices][:2] == [
        ("provenance of builder states", "aaaa of https://git.example.org/a"),
        ("scm-source states", "bbbb of https://git.example.org/b"),
    ]


def test_a_container_that_runs_another_image_speaks_against_the_agent() -> None:
    answer = whole_answer()
    value = link_of(answer, "image")["value"]
    value["containers"][0]["digest"] = "sha256:" + "f" * 64
    voices = _links(change(answer, "image", state="contradicted", reason="another", value=value))["image"].voices
    assert [one.code for one in voices][:2] == [(value["digest"],), ("sha256:" + "f" * 64,)]


def test_owners_that_disagree_are_named_by_their_sources() -> None:
    answer = whole_answer()
    value = {**link_of(answer, "account")["value"], "owners": {"file": "platform", "aws": "hello"}}
    voices = _links(change(answer, "account", state="contradicted", reason="two", value=value))["account"].voices
    assert [(one.heading, one.text) for one in voices] == [
        ("organisation: file states", "Team platform"), ("organisation: aws states", "Team hello"),
        ("The application registry states", "Team platform"),
    ]  # fmt: skip


def test_other_contradictions_show_what_each_source_saw() -> None:
    answer = whole_answer()
    link = link_of(answer, "user_data")
    ec2 = {
        "source": "ec2-api",
        "observed_at": "",
        "recorded_at": None,
        "digest": "sha256:" + "e" * 64,
        "ledger_index": 9,
    }
    link["evidence"].append(ec2)
    voices = _links(change(answer, "user_data", state="contradicted", reason="two"))["user_data"].voices
    assert [one.heading for one in voices] == ["agent saw", "EC2 API saw", "What follows"]


def test_each_state_has_a_sentence() -> None:
    answer = whole_answer()
    assert stated(link_of(answer, "ami")) == "Confirmed by AWS signature."
    assert stated(link_of(answer, "application")) == "Confirmed: agent and application registry agree."
    assert stated(link_of(answer, "version")) == "Asserted by agent."
    assert stated(link_of(instance_answer("dirty"), "review")) == (
        "Not configured: reviews of git.example.org are not read."
    )
    assert stated(link_of(instance_answer("five-mistakes"), "user_data")) == (
        "Asserted by agent: 5 errors; nothing was started."
    )
    assert source_name("unheard-of:x") == "unheard-of: x"


def test_evidence_names_the_statement_that_it_is_in() -> None:
    links = _links(instance_answer("dirty"))
    agent, git, _ = links["commit"].evidence
    assert agent.statement == "sha256:39e6ed32b5d057065db92b3c1818aaa06acef65118dbc9ea8f8582b50b74bb2b"
    assert (git.source, git.statement, git.ledger_index) == ("Git", "", 70)


def test_the_strip_has_a_glyph_for_each_link_and_names_the_gaps() -> None:
    strip = mini(instance_answer("dirty")["lineage"]["links"])
    assert [state for state, _ in strip.glyphs] == [
        "asserted", "asserted", "confirmed", "confirmed", "asserted", "confirmed", "asserted", "unknown", "confirmed",
        "asserted", "contradicted", "unknown", "asserted", "asserted",
    ]  # fmt: skip
    assert [x for _, x in strip.glyphs][:5] == [0.0, 11.5, 23.0, 34.5, 48.5]
    assert strip.text == "Gaps: approval unknown, commit contradicted, review unknown"
    assert mini(whole_answer()["lineage"]["links"]).text == "No gaps in 14 links"


def test_a_strip_has_no_state_but_those_that_are_known() -> None:
    strip = mini([{"link": "account", "state": '"/><script>'}])
    assert "script" not in strip.svg
    assert strip.glyphs[0] == ("unknown", 0.0)
    assert len(strip.glyphs) == 14
