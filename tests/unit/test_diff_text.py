"""`whence diff` prints a difference line by line, and nothing from outside moves the cursor or adds a line."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from fakes.facts import OTHERS, container, facts, image
from fakes.sides import side
from whence_aggregator.changes.compare import RuleVerdict, compare
from whence_aggregator.changes.ranges import SAME, CommitRange, RangeCommit, unknown
from whence_aggregator.whence.cli import whence
from whence_aggregator.whence.diff import collected, lines_of
from whence_common.statement import ApplicationFacts, UserDataFacts

HOSTILE = "\x1b[31m\n\u202eevil\r\x00" + "x" * 10_000
NEWER = "sha256:" + "e" * 64


def newer(text: str = "1") -> Any:
    document = {"environment": {"LEVEL": text, "TOKEN": "MASKED"}}
    return facts(
        stated={"application": ApplicationFacts(id="greeter", version="1.1"), "image": image(digest=NEWER), "containers": [container(NEWER)],
                "user_data": UserDataFacts(digest=OTHERS, document=document)}
    )  # fmt: skip


def test_a_difference_reads_as_lines() -> None:
    commits = CommitRange(state="found", only_b=(RangeCommit(commit_id="b" * 40, message="PAY-7: pay (#3)"),))
    found = compare(side(), side(newer(), verdicts={"signed": RuleVerdict(verdict="fail")}), commits).to_wire()
    assert list(lines_of(found)) == [
        "a: i-0123456789abcdef0 at 2026-11-22T12:00:00.000Z",
        "b: i-0123456789abcdef0 at 2026-11-22T12:00:00.000Z",
        "user_data:",
        "  - asserted  sha256:" + "a" * 64,
        "  + asserted  sha256:" + "b" * 64,
        "version:",
        "  - asserted  1.0",
        "  + asserted  1.1",
        "image:",
        "  - confirmed  registry.example.org/demo/greeter:1.0  registry.example.org/demo/greeter  sha256:" + "d" * 64,
        "  + confirmed  registry.example.org/demo/greeter:1.0  registry.example.org/demo/greeter  sha256:" + "e" * 64,
        "user data, key by key:",
        '  - /application_id: "greeter"',
        '  + /environment/LEVEL: "1"',
        '  + /environment/TOKEN: "MASKED"',
        "  + bbbbbbbbbbbb PAY-7: pay (#3) [PAY-7] [#3]",
        "rule signed: pass → fail",
        "the same: account, team, instance, ami, application, source, commit, ticket, specification",
        "not known: approval: not configured: the settings have no `approvals`",
        "not known: review: reviews are not read: it is not known whether the commit was approved",
        "not known: ticket: trackers are not read: it is not known whether the tickets exist",
    ]


def test_reasons_are_shown_to_their_end() -> None:
    why = f"withheld: {'x' * 300}: set git_servers.git.example.org.shared"
    review = {"link": "review", "state": "unknown", "value": None, "reason": why}
    one = side(links={"review": review}, not_checked={})
    assert f"not known: review: {why}" in list(lines_of(compare(one, one, SAME).to_wire()))
    review["state"] = "missing"
    assert f"  - missing ({why})" in list(lines_of(compare(one, side(links={}), SAME).to_wire()))


def test_a_reason_that_several_parts_have_stands_once() -> None:
    found = compare(side(subject="greeter/1.0"), side(newer(), subject="greeter/1.1"), SAME).to_wire()
    lines = [line for line in lines_of(found) if "belongs to an instance" in line]
    assert lines == [
        "not known: account, ami, instance, team, user_data, verdicts: not compared: this belongs to an instance, and"
        " versions and images are not instances"
    ]


def test_hostile_text_stays_in_its_line() -> None:
    commit = RangeCommit(commit_id=HOSTILE, author=HOSTILE, message=HOSTILE)
    commits = CommitRange(state="found", only_a=(commit,), only_b=(commit,), cut=True)
    one = side(newer(HOSTILE), verdicts={HOSTILE: RuleVerdict(verdict=HOSTILE)}, not_checked={HOSTILE: HOSTILE})
    found = compare(side(), one, commits).to_wire()
    lines = list(lines_of(found))
    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines)) < 1_000
    assert "commits: the history diverged: each side has commits that the other has not" in lines


@given(st.text(max_size=20))
def test_no_value_of_user_data_breaks_a_line(text: str) -> None:
    assert all(line.isprintable() for line in lines_of(compare(side(), side(newer(text)), unknown("away")).to_wire()))


def ask(found: dict[str, Any], *options: str) -> Result:
    class Fixed:
        def get(self, path: str, **parameters: str | None) -> dict[str, Any]:
            assert path == "/v1/diff"
            return {**found, "asked": parameters}

    command = whence.commands["diff"]
    return CliRunner().invoke(command, ["i-1", *options], obj=Fixed())


def test_it_exits_with_1_if_something_differs_and_0_if_nothing_does() -> None:
    equal, other = compare(side(), side(), SAME).to_wire(), compare(side(), side(newer()), SAME).to_wire()
    assert [ask(found, "i-2").exit_code for found in (equal, other)] == [0, 1]
    assert ask(equal, "i-2").stdout.endswith("nothing differs, as far as it is known\n")


def test_json_is_the_response_and_the_options_are_its_parameters() -> None:
    equal = compare(side(), side(), SAME).to_wire()
    said = json.loads(ask(equal, "i-2", "--at", "t", "--and-at", "u", "--known-at", "v", "--json").stdout)
    assert said == {**equal, "asked": {"a": "i-1", "b": "i-2", "at": "t", "and_at": "u", "known_at": "v"}}


class Clock:
    """Time that passes while somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.told: list[str] = []

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def wait(self, answers: list[CommitRange], seconds: float) -> Any:
        """Return what is shown in the end; the last answer is given for ever."""

        def asked() -> dict[str, Any]:
            found = answers.pop(0) if len(answers) > 1 else answers[0]
            return compare(side(), side(), found).to_wire()

        return collected(asked, seconds, tell=self.told.append, now=lambda: self.seconds, sleep=self.sleep)["commits"]


WAITS = unknown("not collected yet; next attempt at t", due_at="t")


def test_a_wait_ends_when_the_commits_are_collected() -> None:
    clock = Clock()
    assert clock.wait([WAITS, WAITS, SAME], 120)["state"] == "same"
    assert clock.seconds == 4.0
    assert clock.told == [
        "waiting for the commits in between, 0 of 120 s: not collected yet; next attempt at t",
        "waiting for the commits in between, 2 of 120 s: not collected yet; next attempt at t", "",
    ]  # fmt: skip


def test_a_wait_is_bounded_and_does_not_begin_for_what_nothing_tries() -> None:
    clock = Clock()
    assert (clock.wait([WAITS], 5)["state"], clock.seconds) == ("unknown", 5.0)
    clock = Clock()
    assert (clock.wait([unknown("different repositories"), SAME], 5)["state"], clock.seconds) == ("unknown", 0.0)
    assert (clock.wait([WAITS, SAME], 0)["state"], clock.told) == ("unknown", [])


def test_the_option_to_wait_has_a_default_and_a_bound() -> None:
    equal = compare(side(), side(), SAME).to_wire()
    assert [ask(equal, "i-2", "--wait").exit_code, ask(equal, "--wait", "5", "i-2").exit_code] == [0, 0]
    assert ask(equal, "i-2", "--wait", "9999").exit_code == 2


def test_a_cut_list_of_commits_states_how_many_are_listed() -> None:
    commits = CommitRange(state="found", only_b=(RangeCommit(commit_id="b" * 40, message="pay"),), cut=True)
    assert "  and more commits: 0 and 1 are listed" in list(lines_of(compare(side(), side(), commits).to_wire()))


def test_one_subject_needs_another_time() -> None:
    equal = compare(side(), side(), SAME).to_wire()
    assert "name B, or another time of A with --and-at" in ask(equal).stderr
    assert [ask(equal, *one).exit_code for one in ([], ["--at", "t"], ["--and-at", "t"])] == [2, 0, 0]
