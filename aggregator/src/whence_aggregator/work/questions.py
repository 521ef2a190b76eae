"""Questions to outside systems as rows of the task table: the subject, the host, and the lane. Pure.

A lane groups the questions of one owner: an account, a team's pushes. Lanes take turns, so none waits for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from whence_aggregator.queries.query import BoundCommand
from whence_aggregator.queries.work import ADD_TASK, ADD_TASK_UNLESS_FULL, AddTaskParameters
from whence_aggregator.trace.facts import ACCOUNT_DRIFT_KIND, AMI_KIND
from whence_common.clock import to_instant

SHARED_LANE = "shared"
"""The lane of questions that several owners share: none can delay them behind its own."""
RANGES_LANE = "ranges"
"""The lane of questions about the commits of ranges, which no instance needs: they delay no others."""
RANGES_WAITING_MAX = 1_000
"""Ranges that wait in one lane: a thousand commits that ran make half a million pairs that somebody can name."""
INVENTORY_KIND = "inventory"
ORGANISATION_KIND = "organisation"
RANGE_TRACKING_KIND = "range-tracking"
"""Tasks that have the reviews and tickets of a range's commits read; the subject is the range's."""
VERSION_COMMITS_KIND = "version-commits"
"""Tasks that find out which commits came with a version, `application/version`, and have them read."""
_NAME_CHARACTERS_MAX = 300


def question(kind: str, subject: str, *, due_at: str, lane: str) -> AddTaskParameters:
    """Return the row of a question that is due at a time."""
    return {"kind": kind, "subject": subject, "due_at": due_at, "lane": lane, "host": host_of(kind, subject)}


def ask_ranges(rows: Sequence[AddTaskParameters]) -> BoundCommand:
    """Return the command that adds questions about ranges while fewer than RANGES_WAITING_MAX wait in their lane.

    NOTE: PostgreSQL adds the rows of one command together, so the last command may exceed the limit by its size.
    """
    return ADD_TASK_UNLESS_FULL.bind([{**one, "waiting_max": RANGES_WAITING_MAX} for one in rows])


def ask_version(application_id: str, version: str, now: datetime) -> BoundCommand:
    """Return the command that adds the task that has the commits of a version read."""
    subject = f"{application_id}/{version}"
    return ADD_TASK.bind([question(VERSION_COMMITS_KIND, subject, due_at=to_instant(now), lane=SHARED_LANE)])


def host_of(kind: str, subject: str) -> str:
    """Return the host of a question: a registry, a Git server, EC2 in one place, or a source of the organisation."""
    if kind == INVENTORY_KIND:
        return f"ec2/{subject}"
    if kind == AMI_KIND:
        return f"ec2/{subject.rpartition('/')[0]}"[:_NAME_CHARACTERS_MAX]
    if kind == ACCOUNT_DRIFT_KIND:
        return f"accounts/{subject}"
    if kind == ORGANISATION_KIND:
        return f"organisation/{subject}"
    if kind in (VERSION_COMMITS_KIND, RANGE_TRACKING_KIND):
        return ""  # nothing outside is asked
    return subject.partition("/")[0][:_NAME_CHARACTERS_MAX]


def shown_lane(lane: str) -> str:
    """Return a lane for people."""
    named = {SHARED_LANE: "several teams together", RANGES_LANE: "questions about differences together"}
    return named.get(lane) or (f"team {lane.removeprefix('team:')}" if lane.startswith("team:") else f"account {lane}")


def lane_of_team(team: str) -> str:
    """Return the lane of the images that a team pushes."""
    return f"team:{team}"
