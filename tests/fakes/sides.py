"""One side of a comparison, as the lineage of an instance, and what a test changes."""

from __future__ import annotations

from typing import Any

from fakes.facts import AT, facts, lineage
from whence_aggregator.changes.compare import RuleVerdict, Side
from whence_aggregator.changes.ranges import SourceCommit
from whence_aggregator.changes.subject import Compared
from whence_aggregator.trace.facts import Facts

INSTANCE = "i-0123456789abcdef0"
ONE, TWO = (SourceCommit(repository="git.example.org/demo/greeter", commit_id=letter * 40) for letter in "ab")
PASS = RuleVerdict(verdict="pass")


def side(known: Facts | None = None, *, subject: str = INSTANCE, **changes: Any) -> Side:
    found = lineage(known or facts())
    values: dict[str, Any] = {
        "subject": Compared.parse(subject, name="a", at=None), "instance_id": found.instance_id, "at": AT,
        "known_at": AT, "links": {link.link: link.to_wire() for link in found.links}, "layers": "sha256:1",
        "not_checked": {one.link: one.reason for one in found.not_checked}, "commit": ONE, "verdicts": {"signed": PASS},
        **changes,
    }  # fmt: skip
    return Side(**values)
