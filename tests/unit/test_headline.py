"""The verdict on a lineage in a sentence: for each state of a chain, of an agent and of an instance."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.instance_answers import RULES, change, instance_answer, link_of, whole_answer
from whence_aggregator.console.headline import Headline, headline
from whence_aggregator.console.reasons import what_to_do, why
from whence_aggregator.console.rule_rows import RuleRow, rule_rows
from whence_aggregator.trace.lineage import LINK_NAMES


def _said(answer: dict[str, Any]) -> tuple[str, str, str]:
    found = headline(answer["lineage"])
    return found.sign, found.word, found.sentence


def _rows(answer: dict[str, Any]) -> list[RuleRow]:
    return list(rule_rows(answer["verdicts"] or (), (), RULES["rules"]))


def _explained(answer: dict[str, Any]) -> tuple[str, str]:
    found = headline(answer["lineage"])
    return why(answer["lineage"], found, _rows(answer)), what_to_do(answer["lineage"], found, _rows(answer))


def test_a_whole_chain_states_commit_and_ticket() -> None:
    answer = whole_answer()
    assert _said(answer) == (
        "confirmed", "complete", "Complete: whence-demo ccb6bd28b66f comes from commit ccb6bd28, asked for in ticket #26",
    )  # fmt: skip
    assert _explained(answer) == (
        "All 14 links hold: 11 confirmed, 3 asserted. Every rule passes. Nothing to do.", "",
    )  # fmt: skip


def test_where_it_comes_from_is_stated_though_another_link_has_a_gap() -> None:
    because, _ = _explained(instance_answer("right"))
    assert because.startswith(
        "Not configured: reviews of git.example.org are not read. Even so, whence-demo ccb6bd28b66f comes from commit "
        "ccb6bd28, which names ticket #26. 12 of 14 links hold: 8 confirmed, 4 asserted."
    )


def test_where_a_disputed_image_comes_from_is_not_stated() -> None:
    answer = change(whole_answer(), "image", state="contradicted", reason="a container runs a different image")
    assert "commit ccb6bd28" not in _explained(answer)[0]


def test_what_one_source_states_is_not_told_as_proved() -> None:
    answer = change(whole_answer(), "commit", state="asserted", reason="no provenance signed by a trusted builder")
    change(answer, "ticket", state="asserted")
    assert _said(answer)[2] == (
        "Complete: whence-demo ccb6bd28b66f names commit ccb6bd28 as its source, which names ticket #26"
    )


def test_a_dirty_tree_is_code_that_is_in_no_commit() -> None:
    answer = instance_answer("dirty")
    assert _said(answer) == (
        "contradicted", "contradicted", "Contradicted at commit: greeter 1.1 runs code that is in no commit",
    )  # fmt: skip
    assert _explained(answer) == (
        "The commit exists, but the image was built from a tree with uncommitted changes. 11 of 14 links hold: "
        "4 confirmed, 7 asserted. Not required here: approval; unknown: review. 1 rule fails, 2 rules are unknown.",
        "commit, build again, deploy.",
    )


def test_a_failed_boot_names_its_errors_and_the_first_correction() -> None:
    answer = instance_answer("five-mistakes")
    assert _said(answer) == (
        "missing", "failed boot", "Failed boot: greeter does not run, because its user data has 5 errors",
    )  # fmt: skip
    because, to_do = _explained(answer)
    assert because.startswith(
        "Line 3: application_version must be text, but YAML reads 1.10 as the number 1.1. 4 more at their lines below."
    )
    assert to_do == (
        'write application_version: "1.10" in line 3, correct 4 more at their lines below, then replace the instance.'
    )


def test_a_failed_boot_without_errors_in_user_data_states_what_failed() -> None:
    answer = instance_answer("five-mistakes")
    link_of(answer, "user_data")["value"]["problems"] = []
    change(answer, "image", reason="nothing runs: the boot failed")
    assert _said(answer)[2] == "Failed boot: greeter does not run"
    because, to_do = _explained(answer)
    assert because.startswith("Nothing runs: the boot failed.")
    assert to_do == "correct the user data and replace the instance."


@pytest.mark.parametrize(
    ("state", "sign"), [("contradicted", "contradicted"), ("missing", "missing"), ("unknown", "unknown")]
)
@pytest.mark.parametrize("name", LINK_NAMES)
def test_each_gap_of_each_required_link_has_a_sentence_of_its_own(name: str, state: str, sign: str) -> None:
    answer = whole_answer()
    answer["lineage"]["required"] = list(LINK_NAMES)
    found = headline(change(answer, name, state=state, reason="a reason")["lineage"])
    shown = {"ami": "AMI", "user_data": "user data"}.get(name, name)
    assert (found.sign, found.word, found.link) == (sign, state, name)
    assert found.sentence.startswith(f"{state.capitalize()} at {shown}: ")
    assert "{" not in found.sentence


def test_the_worst_gap_decides_and_the_others_are_named() -> None:
    answer = change(whole_answer(), "team", state="unknown", reason="no source was read")
    change(answer, "ticket", state="missing", reason="the commit names no ticket")
    change(answer, "review", state="missing", reason="no review names the commit")
    assert _said(answer)[2] == "Missing at review: no review covers the commit of whence-demo ccb6bd28b66f"
    assert "Unknown: team; missing: ticket." in _explained(answer)[0]


def test_a_gap_that_is_not_required_does_not_decide() -> None:
    answer = change(
        whole_answer(), "approval", state="unknown", reason="not configured: the settings have no `approvals`"
    )
    assert _said(answer)[1] == "complete"
    assert "Not required here: approval." in _explained(answer)[0]


def test_an_unread_source_is_for_the_operator_and_an_unreachable_one_is_asked_again() -> None:
    answer = change(whole_answer(), "review", state="unknown", reason="not configured: reviews of h are not read")
    assert _explained(answer)[1] == (
        "ask the operator of this server to configure the source; until then this stays unknown."
    )
    change(answer, "review", reason="the code host did not answer")
    assert _explained(answer)[1].startswith("nothing, if this is new: the server asks again by itself")


def test_a_link_that_is_stated_but_not_enough_is_not_complete() -> None:
    answer = change(
        whole_answer(), "commit", state="asserted", lacking=True, reason="the default branch main did not reach it"
    )
    assert _said(answer) == (
        "missing", "not complete",
        "Not complete at commit: no protected branch is known to reach the commit of whence-demo ccb6bd28b66f",
    )  # fmt: skip
    assert _explained(answer)[0].startswith("The default branch main did not reach it. 13 of 14 links hold")


def test_a_link_that_was_not_checked_is_not_complete() -> None:
    answer = whole_answer()
    answer["lineage"]["not_checked"] = [{"link": "ticket", "reason": "trackers are not read"}]
    answer["lineage"]["complete"] = False
    assert _said(answer) == (
        "unknown", "not checked",
        "Not checked at ticket: it is not known which ticket asked for whence-demo ccb6bd28b66f",
    )  # fmt: skip
    assert _explained(answer)[0].startswith("Trackers are not read.")


def test_what_was_reported_later_is_not_complete() -> None:
    answer = whole_answer()
    answer["lineage"] |= {"complete": False, "recorded_by_then": False, "heard": None}
    assert _said(answer)[:2] == ("unknown", "reported later")
    assert what_to_do(answer["lineage"], headline(answer["lineage"]), None) == ""


def test_a_silent_agent_leaves_a_whole_chain_unknown() -> None:
    answer = whole_answer()
    answer["lineage"]["heard"] = "silent"
    assert _said(answer) == (
        "unknown", "silent",
        "Silent since 27 Nov 2026 03:24:01 UTC: it is not known what whence-demo ccb6bd28b66f runs now",
    )  # fmt: skip
    because, to_do = _explained(answer)
    assert because.startswith("When it was last heard, whence-demo ccb6bd28b66f comes from commit ccb6bd28, asked for")
    assert to_do == "look at the instance."


def test_an_agent_whose_heartbeats_never_arrived_leaves_a_whole_chain_unknown() -> None:
    answer = whole_answer()
    answer["lineage"] |= {"heard": "never", "last_seen": None}
    assert _said(answer)[:2] == ("unknown", "never heard")


def test_a_contradiction_stays_one_when_the_agent_falls_silent() -> None:
    answer = instance_answer("dirty")
    answer["lineage"]["heard"] = "silent"
    assert _said(answer)[1] == "contradicted"
    assert "Its agent has been silent since 27 Nov 2026 03:24:00 UTC." in _explained(answer)[0]


@pytest.mark.parametrize(
    ("life", "sentence"),
    [("terminated", "It is terminated, since 27 Nov 2026 04:00:00 UTC."), ("stopped", "It is stopped, since")],
)
def test_an_instance_that_ended_is_told_in_the_past(life: str, sentence: str) -> None:
    answer = whole_answer()
    answer["lineage"] |= {"life": life, "life_since": "2026-11-27T04:00:00.000Z", "heard": "silent"}
    assert _said(answer)[2].startswith("Complete: whence-demo ccb6bd28b66f came from commit ccb6bd28")
    assert sentence in _explained(answer)[0]


def test_an_instance_whose_agent_stopped_is_told_in_the_past() -> None:
    answer = whole_answer()
    link_of(answer, "instance")["value"]["cause"] = "stop"
    assert " came from commit " in _said(answer)[2]
    assert "Its agent reported that it stops." in _explained(answer)[0]


def test_an_instance_without_application_is_named_by_its_id() -> None:
    answer = whole_answer()
    for name in ("application", "version", "user_data"):
        change(answer, name, value=None, state="missing", reason="nothing")
    assert headline(answer["lineage"]) == Headline(
        sign="missing", word="missing", sentence="Missing at user data: i-a9090d3355a13ef4d has no user data",
        link="user_data",
    )  # fmt: skip


def test_a_rule_that_fails_beside_a_whole_chain_is_to_be_mended() -> None:
    answer = whole_answer()
    next(one for one in answer["verdicts"] if one["rule"] == "ticket-missing")["verdict"] = "fail"
    because, to_do = _explained(answer)
    assert because.endswith("1 rule fails.")
    assert to_do == "name the ticket in the commit message."


def test_rules_that_have_not_judged_are_no_pass() -> None:
    answer = whole_answer()
    answer["verdicts"] = []
    assert _explained(answer)[0].endswith("No rule has judged it yet.")


def test_a_name_that_cannot_be_an_applications_is_not_in_the_sentence() -> None:
    answer = change(instance_answer("five-mistakes"), "application", value=None, state="missing", reason="none")
    link_of(answer, "user_data")["value"]["document"]["application_id"] = "x" * 10_000
    assert _said(answer)[2].startswith("Failed boot: i-bee3aad706702bfce does not run")


def test_a_long_message_is_cut() -> None:
    answer = instance_answer("five-mistakes")
    link_of(answer, "user_data")["value"]["problems"][0] |= {"message": "m" * 10_000, "fix": "f" * 10_000, "line": "x"}
    because, to_do = _explained(answer)
    assert len(because) < 1000
    assert len(to_do) < 1000
    assert because.startswith("mmm")
