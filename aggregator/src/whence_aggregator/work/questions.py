"""Questions that wait for an answer: what about, which host is asked, on whose behalf. Rows of the task table. Pure.

A lane is whose questions wait together: an account's, a team's pushes. Lanes take turns: none waits for another.
"""

from __future__ import annotations

from whence_aggregator.queries.work import AddTaskParameters

SHARED_LANE = "shared"
"""For what several ask about: one of them cannot hold it back behind its own questions."""
INVENTORY_KIND = "inventory"
_NAME_CHARACTERS_MAX = 300


def question(kind: str, subject: str, *, due_at: str, lane: str) -> AddTaskParameters:
    """Return the row of a question that is due at a time."""
    return {"kind": kind, "subject": subject, "due_at": due_at, "lane": lane, "host": host_of(kind, subject)}


def host_of(kind: str, subject: str) -> str:
    """Name the host that a question is asked of: a registry, a Git server, or EC2 in one account and region."""
    if kind == INVENTORY_KIND:
        return f"ec2/{subject}"
    return subject.partition("/")[0][:_NAME_CHARACTERS_MAX]


def lane_of_team(team: str) -> str:
    """Name the lane of the images that a team pushes here."""
    return f"team:{team}"
