"""How the subjects of a team or an account stand by the rules, in one sentence, with what fails first. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from whence_aggregator.console.amounts import amount

NOUNS = {
    "instance": ("instance", "instances"), "version": ("version", "versions"),
    "application": ("application", "applications"), "ami": ("AMI", "AMIs"), "account": ("account", "accounts"),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectsStanding:
    """`state` is the sign: pass, fail or unknown."""

    state: str
    sentence: str
    why: str = ""


def standing_of(summary: Mapping[str, Any] | None, whose: str) -> SubjectsStanding:
    """Return the standing by a summary; `whose` is as in `of team hello`."""
    if summary is None:
        return SubjectsStanding(state="unknown", sentence=f"What runs {whose} is not for you to see")
    judged = {kind: one for kind, one in summary["total"]["subjects"].items() if one["total"]}
    unread = summary["coverage"]["incomplete_total"]
    doubt = (
        f"{amount(unread, 'source')} {'was' if unread == 1 else 'were'} not read that could deny this."
        if unread
        else ""
    )
    if not judged:
        return SubjectsStanding(state="unknown", sentence=f"No rule has judged anything {whose}", why=doubt)
    failing = {kind: one for kind, one in judged.items() if one["fail"]}
    if failing:
        kind, *others = (one for one in NOUNS if one in failing)
        sentence = (
            f"{_part(failing[kind], 'fail', kind)} {whose} {'breaks' if failing[kind]['fail'] == 1 else 'break'} a rule"
        )
        also = [_part(failing[one], "fail", one) for one in others]
        more = f"Rules are also broken by {' and '.join(also)}. " if also else ""
        return SubjectsStanding(state="fail", sentence=sentence, why=(more + doubt).strip())
    kind = next(one for one in NOUNS if one in judged)
    of = judged[kind]
    waiting = sum(one["unknown"] + one["folded"] for one in judged.values())
    if waiting:
        passing = f"{_part(of, 'pass', kind)} {whose} {'passes' if of['pass'] == 1 else 'pass'} every rule"
        sentence = f"{passing}; {amount(waiting, 'subject')} cannot be judged yet"
        return SubjectsStanding(state="unknown", sentence=sentence, why=doubt)
    every = f"All {amount(of['total'], *NOUNS[kind])}" if of["total"] != 1 else f"The only {NOUNS[kind][0]}"
    sentence = f"{every} {whose} {'passes' if of['total'] == 1 else 'pass'} every rule"
    return SubjectsStanding(state="unknown" if doubt else "pass", sentence=sentence, why=doubt)


def _part(counts: Mapping[str, int], name: str, kind: str) -> str:
    return f"{counts[name]:,} of {amount(counts['total'], *NOUNS[kind])}"
