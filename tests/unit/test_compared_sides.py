"""Two lineages are compared link by link: equal ones do not differ, and swapped ones differ the same way mirrored."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.facts import AT, FAILED, FOUND, OTHERS, READ, answer, facts, image, lineage
from fakes.sides import INSTANCE, ONE, PASS, TWO, side
from whence_aggregator.changes.compare import Difference, RuleVerdict, Side, compare
from whence_aggregator.changes.ranges import (
    SAME,
    CommitRange,
    RangeCommit,
    SourceCommit,
    answered_alone,
    unknown,
)
from whence_aggregator.changes.subject import Compared
from whence_aggregator.trace.facts import NOT_ASKED
from whence_aggregator.trace.lineage import without_user_data
from whence_common.errors import InputError
from whence_common.statement import ApplicationFacts, UserDataFacts

OTHER = "i-00000000000000001"
FAIL = RuleVerdict(verdict="fail", reason="the image is not signed")


def changed(found: Difference) -> list[str]:
    return [one.link for one in found.links]


KNOWN = st.sampled_from(
    [
        facts(),
        facts(stated=FAILED),
        facts(kio={"team_id": "other", "active": False}),
        facts(stated={"application": ApplicationFacts(id="greeter", version="1.1"),
                      "image": image(digest="sha256:" + "e" * 64)}),
        facts(stated={"user_data": UserDataFacts(digest=OTHERS, document={"environment": {"A": "MASKED"}})}),
        facts(stated={"user_data": UserDataFacts(digest=OTHERS, document={"environment": {"A": "1"}, "x": "y"})}),
        facts(image_source=answer("unknown", "away"), commit=NOT_ASKED),
        facts(identity={"image_id": "ami-2"}),
    ]
)  # fmt: skip
SIDES = st.builds(
    side, KNOWN, subject=st.sampled_from([INSTANCE, OTHER, "greeter/1.0", "sha256:" + "d" * 64]),
    layers=st.sampled_from(["", "sha256:1", "sha256:2"]),
    layer_digests=st.sampled_from([(), ("sha256:a", "sha256:b"), ("sha256:a", "sha256:c", "sha256:a")]), commit=st.sampled_from([ONE, TWO, None]),
    verdicts=st.sampled_from([None, {}, {"signed": PASS}, {"signed": FAIL, "tagged": PASS}]),
    not_checked=st.sampled_from([{}, {"review": "reviews are not read"}, {"review": "the host was away"}]),
)  # fmt: skip
RANGES = st.sampled_from(
    [SAME, unknown("not collected"), CommitRange(state="found", only_a=(RangeCommit(commit_id="c" * 40),)),
     CommitRange(state="found", only_b=(RangeCommit(commit_id="c" * 40),), cut=True)]
)  # fmt: skip


@given(SIDES)
def test_a_side_does_not_differ_from_itself(one: Side) -> None:
    found = compare(one, one, SAME)
    assert found.equal
    assert (found.links, found.verdicts) == ((), ())
    assert found.user_data is None or found.user_data.changes == ()


@given(SIDES, SIDES, RANGES)
def test_swapped_sides_differ_the_same_way_mirrored(one: Side, other: Side, commits: CommitRange) -> None:
    found = compare(one, other, commits)
    assert compare(other, one, commits.mirrored()) == found.mirrored()
    assert found.equal is found.mirrored().equal
    json.dumps(found.to_wire())


@given(SIDES, SIDES)
def test_every_link_is_either_the_same_or_different_or_named_as_not_compared(one: Side, other: Side) -> None:
    found = compare(one, other, SAME)
    named = {*found.same, *changed(found), *found.not_known}
    assert named >= {*one.links, *other.links}
    assert not set(found.same) & set(changed(found))


@given(st.sampled_from([ONE, TWO, None]), st.sampled_from([ONE, TWO, None]))
def test_a_range_that_needs_no_collector_reads_the_same_from_both_ends(
    a: SourceCommit | None, b: SourceCommit | None
) -> None:
    assert answered_alone(a, b) == answered_alone(b, a)


def test_a_new_version_differs_in_version_and_image_and_names_what_is_not_known() -> None:
    newer = facts(
        stated={
            "application": ApplicationFacts(id="greeter", version="1.1"),
            "image": image(digest="sha256:" + "e" * 64),
        }
    )
    found = compare(side(), side(newer, layers="sha256:2", commit=TWO), unknown("not collected"))
    assert changed(found) == ["version", "image"]
    assert found.links[0].to_wire() == {
        "link": "version",
        "a": {"state": "asserted", "reason": None, "value": {"application_version": "1.0"}},
        "b": {"state": "asserted", "reason": None, "value": {"application_version": "1.1"}},
    }
    assert found.layers == "changed"
    assert dict(found.not_known) == {
        "approval": "not configured: the settings have no `approvals`",
        "layer": "which layers differ: those of a side were read before single layers were recorded",
        "review": "reviews are not read: it is not known whether the commit was approved",
        "ticket": "trackers are not read: it is not known whether the tickets exist",
    }


def test_the_layers_that_only_one_side_has_are_named_in_their_order() -> None:
    one = side(layers="sha256:1", layer_digests=("sha256:base", "sha256:b", "sha256:a"))
    other = side(layers="sha256:2", layer_digests=("sha256:base", "sha256:c", "sha256:c"))
    found = compare(one, other, SAME)
    assert found.to_wire()["layer_digests"] == {"only_a": ["sha256:b", "sha256:a"], "only_b": ["sha256:c"]}
    assert found.mirrored().to_wire()["layer_digests"] == {"only_a": ["sha256:c"], "only_b": ["sha256:b", "sha256:a"]}
    assert "layer" not in found.not_known


def test_times_of_reports_are_no_difference() -> None:
    later = facts(last_seen="2026-11-23T00:00:00.000Z", stated={"boot_id": "another", "sequence": 9})
    assert compare(side(), side(later), SAME).equal


def confirmed(link: str, **value: object) -> Side:
    return side(links={link: {"link": link, "state": "confirmed", "value": value, "reason": None}})


def reviewed(read: str | None = None, *, approved: bool = True) -> Side:
    votes = [{"by": "bob", "counts": approved}, {"by": "ada", "counts": False}]
    one = {"number": 7, "url": "https://git.example.org/pull/7", "author": "ada", "approvals": votes}
    return confirmed("review", reviews=[one], read=read, unmerged=None)


def ticketed(read: str | None = None, *, status: str = "Ready", approved: bool = True) -> Side:
    known = {"id": "PAY-7", "status": status, "approved": approved, "problem": None, "read": read}
    return confirmed("ticket", tickets=[known, {"id": "PAY-8", "problem": "missing"}], reviews=[])


def test_what_neither_side_knows_is_not_called_the_same() -> None:
    def away(reason: str) -> Side:
        link = {"link": "review", "state": "unknown", "value": None, "reason": reason}
        return side(links={"review": link}, not_checked={})

    found = compare(away("withheld: the application does not state it"), away("away"), SAME)
    assert found.equal, "as far as it is known"
    assert "review" not in found.same
    assert found.not_known["review"] == "away"


def test_when_a_review_or_ticket_was_read_is_no_difference() -> None:
    assert compare(reviewed(), reviewed("read at 2026-11-22T12:00:00.000Z"), SAME).equal
    assert compare(ticketed(), ticketed("read at 2026-11-22T12:00:00.000Z"), SAME).equal


def test_signatures_differ_by_what_they_are_worth_and_not_by_when_they_were_verified() -> None:
    def signed(state: str, at: str = "") -> Side:
        return confirmed("commit", commit="c" * 40, signature={"state": state, "signer": "ada", "verified_at": at})

    assert compare(signed("good"), signed("good", "2026-11-22T12:00:00.000Z"), SAME).equal
    (found,) = compare(signed("good"), signed("bad"), SAME).links
    assert [side["value"]["signature"] for side in (found.a, found.b)] == [
        "signature good of ada", "signature bad of ada",
    ]  # fmt: skip


def test_reviews_and_tickets_differ_by_what_their_hosts_state() -> None:
    (review,) = compare(reviewed(), reviewed(approved=False), SAME).links
    (ticket,) = compare(ticketed(), ticketed(status="Rejected", approved=False), SAME).links
    at = "https://git.example.org/pull/7 of ada"
    assert [side["value"]["reviews"] for side in (review.a, review.b)] == [
        [f"{at}, approved by bob"], [f"{at}, without an approval that counts"],
    ]  # fmt: skip
    assert [side["value"]["tickets"] for side in (ticket.a, ticket.b)] == [
        ["PAY-7 [Ready, approved]", "PAY-8 (missing)"], ["PAY-7 [Rejected, not approved]", "PAY-8 (missing)"],
    ]  # fmt: skip


def test_an_approval_that_does_not_count_approves_nothing() -> None:
    def approved(counts: str) -> Side:
        given = [{"user_id": "ada", "approval_type": "CODE_CHANGE", "counts": counts}]
        return confirmed("approval", people=0, required_approvers=2, missing=[], approvals=given)

    found = [compare(approved("yes"), approved(counts), SAME).links for counts in ("no", "unknown")]
    assert [[one.b["value"]["approved_by"] for one in links] for links in found] == [[[]], [[]]]


def test_a_link_that_a_later_version_adds_is_compared_whole() -> None:
    a, b = (
        side(links={"review": {"link": "review", "state": "confirmed", "value": {"by": [who]}, "reason": None}})
        for who in ("ada", "bob")
    )
    found = compare(a, b, SAME)
    assert [one.a["value"] for one in found.links] == [{"by": ["ada"]}]


def test_a_version_is_not_compared_by_the_instance_that_stands_for_it() -> None:
    other = facts(identity={"image_id": "ami-2"}, stated={"user_data": UserDataFacts(digest=OTHERS, document={"x": 1})})
    found = compare(side(subject="greeter/1.0", verdicts=None), side(other), SAME)
    assert found.equal
    assert found.user_data is None
    reason = "not compared: this belongs to an instance, and versions and images are not instances"
    assert [found.not_known[part] for part in ("account", "ami", "instance", "team", "user_data", "verdicts")] == [
        reason
    ] * 6


def test_rules_that_changed_their_verdict_are_listed_and_no_others() -> None:
    a = side(verdicts={"signed": PASS, "tagged": FAIL, "old": PASS})
    b = side(verdicts={"signed": FAIL, "tagged": replace(FAIL, reason="another reason"), "new": PASS})
    assert [one.to_wire() for one in compare(a, b, SAME).verdicts] == [
        {"rule": "new", "a": None, "b": {"verdict": "pass", "reason": ""}},
        {"rule": "old", "a": {"verdict": "pass", "reason": ""}, "b": None},
        {"rule": "signed", "a": {"verdict": "pass", "reason": ""},
         "b": {"verdict": "fail", "reason": "the image is not signed"}},
    ]  # fmt: skip


def test_without_the_right_to_user_data_only_its_traced_keys_are_compared() -> None:
    def cut(document: dict[str, Any], digest: str) -> Side:
        shown = without_user_data(lineage(facts(stated={"user_data": UserDataFacts(digest=digest, document=document)})))
        return side(links={link.link: link.to_wire() for link in shown.links})

    found = compare(
        cut({"source": "a:1", "environment": {"K": "hush"}}, "sha256:" + "1" * 64), cut({"source": "a:2"}, OTHERS), SAME
    )
    assert found.user_data is not None
    assert [one.path for one in found.user_data.changes] == ["/source"]
    assert found.not_known["user_data"] == "the right user-data is needed for the rest"
    assert "hush" not in json.dumps(found.to_wire())


def test_user_data_that_differs_where_it_is_masked_is_said_to() -> None:
    a, b = (
        side(facts(stated={"user_data": UserDataFacts(digest=digest, document={"environment": {"A": "MASKED"}})}))
        for digest in ("sha256:" + "1" * 64, OTHERS)
    )
    found = compare(a, b, SAME)
    assert changed(found) == ["user_data"]
    assert found.not_known["user_data"] == "the documents differ in masked values, or in comments and spacing"


def test_commits_in_both_directions_are_shown_with_what_their_messages_name() -> None:
    commits = CommitRange(
        state="found",
        only_a=(RangeCommit(commit_id="d" * 40, message="Revert it\n\nRefs: PAY-9"),),
        only_b=(RangeCommit(commit_id="e" * 40, author="Ada <a@b.c>", message="PAY-7: pay (#3)", parents=("f" * 40,)),),
    )
    shown = compare(side(patterns=("PAY-{number}",)), side(commit=TWO), commits).to_wire()["commits"]
    assert shown["diverged"] is True
    assert [one["tickets"] for one in shown["only_a"]] == [["PAY-9"]]
    assert shown["only_b"] == [
        {"commit": "e" * 40, "author": "Ada <a@b.c>", "committed_at": None, "subject": "PAY-7: pay (#3)",
         "parents": ["f" * 40], "tickets": ["PAY-7"], "reviews": ["#3"],
         "review": None},
    ]  # fmt: skip


def test_a_range_of_many_commits_is_cut_and_says_so() -> None:
    many = CommitRange(state="found", only_b=tuple(RangeCommit(commit_id=f"{n:040x}") for n in range(2_000)))
    assert (len(many.bounded(1_000).only_b), many.bounded(1_000).cut, many.bounded(2_000).cut) == (1_000, True, False)


def test_commits_whose_messages_are_too_long_together_are_cut_off_and_it_is_said_so() -> None:
    long = tuple(RangeCommit(commit_id=f"{number:040x}", message="x" * 64_000) for number in range(40))
    bounded = CommitRange(state="found", only_a=long[:2], only_b=long).bounded(1_000)
    assert (len(bounded.only_a), len(bounded.only_b), bounded.cut) == (2, 31, True)


@pytest.mark.parametrize(
    ("text", "kind", "at"),
    [
        (INSTANCE, "instance", None),
        (f"{INSTANCE}@2026-11-22T12:00:00Z", "instance", AT),
        ("greeter/1.0", "version", None),
        ("greeter/1.0@2026-11-22T13:00:00+01:00", "version", AT),
        ("sha256:" + "d" * 64, "image", None),
    ],
)
def test_subjects_are_recognised_by_their_form(text: str, kind: str, at: str | None) -> None:
    found = Compared.parse(text, name="a", at=None)
    assert (found.kind, found.at) == (kind, at)


@pytest.mark.parametrize(
    "text",
    ["", "i-1", "greeter", "greeter/", "/1.0", "sha256:dd", "greeter/1.0/2", f"{INSTANCE}@", f"{INSTANCE}@noon",
     f"{INSTANCE}@2026-11-22T12:00:00Z@2026-11-22T12:00:00Z", "--upload-pack=x", "Greeter/1.0", "greeter/../etc"],
)  # fmt: skip
def test_what_is_no_subject_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        Compared.parse(text, name="a", at=None)


def test_a_side_with_two_times_is_refused() -> None:
    with pytest.raises(InputError, match="two times"):
        Compared.parse(f"{INSTANCE}@{AT}", name="a", at=AT)


def test_facts_read_later_change_no_state_of_a_link_that_both_share() -> None:
    assert compare(side(facts(image_source=READ, commit=FOUND)), side(), SAME).equal


def test_only_approvals_that_count_are_named_as_given() -> None:
    given = [
        {"user_id": name, "approval_type": "CODE_CHANGE", "counts": counts}
        for name, counts in (("ada", "yes"), ("mallory", "no"), ("eve", "unknown"))
    ]
    value = {"people": 1, "required_approvers": 2, "missing": [], "approvals": given}
    approval = {"state": "missing", "reason": "eve's may not count", "value": value}
    none = {**approval, "value": {**value, "approvals": []}}
    one, other = (replace(side(), links={**side().links, "approval": shown}) for shown in (approval, none))
    found = compare(one, other, SAME)
    assert [dict(link.a)["value"]["approved_by"] for link in found.links] == [["ada (CODE_CHANGE)"]]
