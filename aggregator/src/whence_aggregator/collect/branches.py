"""Collector of what reaches a commit: which protected branches and tags, and whether the history was rewritten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from whence_aggregator.collect.commits import commit_of
from whence_aggregator.collect.protection import ProtectionSources, ProtectionStatement, carried, covers, steady
from whence_aggregator.ports import BranchAnswer, CollectedFact, CommitReader, ProtectedNames


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchFinding(CollectedFact):
    """Which protected branches and tags reach a commit.

    The branch's head moves often, newer tags reach the commit too, and the protection is read each time: none of these
    alone makes a new fact.
    """

    def same_as(self, outcome: str, reason: str, value: Mapping[str, Any]) -> bool:
        lost = set(value.get("reached_by", ())) - set(self.value["reached_by"])
        return (outcome, reason) == (self.outcome, self.reason) and not lost and _steady(value) == _steady(self.value)

    def after(self, value: Mapping[str, Any], observed_at: str) -> CollectedFact:
        """Return the fact with when the branch was seen to reach the commit, if it was rewritten since.

        A branch or tag that is no longer protected, or another default branch, is no rewritten history.
        """
        protection = carried(value.get("protection", ()), self.value["protection"])
        mine = {**self.value, "protection": protection}
        if mine["reachable"] is True or value.get("branch") != mine["branch"]:
            return self._with(mine)
        gone = value.get("gone")
        if value.get("reachable") is True and mine["reachable"] is False:
            main = f"heads/{value.get('branch')}"
            reached_by = value.get("reached_by", [main])
            counted = [one for one in reached_by if one == main or covers(protection, one)]
            if counted:
                gone = {"reached_at": observed_at, "head": value.get("head"), "reached_by": counted}
        return self._with({**mine, "gone": gone})

    def _with(self, value: dict[str, Any]) -> CollectedFact:
        return BranchFinding(outcome=self.outcome, value=value, reason=self.reason)


def _steady(value: Mapping[str, Any]) -> tuple[object, ...]:
    """Return the members whose change makes a new fact. Values of versions 1 and 2 have fewer members."""
    gone = (value.get("gone") or {}).get("reached_at")
    protection = steady(value.get("protection", ()))
    return value.get("branch"), value.get("reachable"), gone, value.get("moved_to", ""), protection


class BranchCollector:
    """Asks Git servers which protected branches and tags reach a commit. The subject is `host/path@commit id`.

    The value is {branch, head, reachable, reached_by, gone, moved_to, protection, parents_at}; `reachable` is null,
    with a reason, when it could not be determined. `protection` is what counts besides the default branch: each
    statement says by whom and when it was read.
    """

    def __init__(self, reader: CommitReader, protection: ProtectionSources) -> None:
        self._reader = reader
        self._protection = protection

    async def collect(self, subject: str) -> CollectedFact:
        place, commit_id = commit_of(subject)
        stated = await self._protection.of(place)
        answer = _undenied(await self._reader.branch(place, commit_id, _all_names(stated)), stated)
        value = {
            "version": 3, "branch": answer.branch, "head": answer.commit_id, "reachable": answer.reachable,
            "reached_by": list(answer.reached_by), "gone": None, "moved_to": answer.moved_to,
            "protection": [one.to_wire() for one in stated], "parents_at": answer.parents_at,
        }  # fmt: skip
        outcome: Literal["found", "missing"] = "missing" if answer.branch is None else "found"
        return BranchFinding(outcome=outcome, value=value, reason=answer.reason)


def _all_names(stated: list[ProtectionStatement]) -> ProtectedNames:
    """Return the names that any source states, each once."""
    branches = dict.fromkeys(name for one in stated for name in one.names.branches)
    tags = dict.fromkeys(name for one in stated for name in one.names.tags)
    return ProtectedNames(branches=tuple(branches), tags=tuple(tags))


def _undenied(answer: BranchAnswer, stated: list[ProtectionStatement]) -> BranchAnswer:
    """Return the answer; undecided if nothing reaches the commit and not all that is protected was read."""
    unread = next((one for one in stated if one.unread), None)
    if answer.reachable is not False or unread is None:
        return answer
    reason = f"{answer.branch} does not reach it, and which other branches are protected is not known: {unread.reason}"
    return BranchAnswer(
        branch=answer.branch, commit_id=answer.commit_id, reason=reason, moved_to=answer.moved_to
    )  # fmt: skip
