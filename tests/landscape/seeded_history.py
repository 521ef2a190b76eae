"""A seeded history of many commits: squash, rebase, merge and revert shapes, releases as tags, made by fast-import."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from landscape.bare import Bare

_START = 1_600_000_000
_SHAPES = ("squash", "rebase", "merge", "merge", "octopus", "revert", "direct")


@dataclass(slots=True)
class _Stream:
    """The input of `git fast-import`."""

    rng: random.Random
    parts: list[str] = field(default_factory=list)
    marks: int = 0

    def commit(self, branch: str, message: str, *parents: int) -> int:
        self.marks += 1
        when = _START + 60 * self.marks + self.rng.randrange(-600, 600)  # clocks differ
        zone = self.rng.choice(("+0000", "+0130", "-0800"))
        lines = [
            f"commit refs/heads/{branch}", f"mark :{self.marks}",
            f"author Ada <ada@example.org> {when - 50} {zone}", f"committer GitHub <noreply@github.com> {when} {zone}",
            f"data {len(message.encode())}", message,
        ]  # fmt: skip
        lines += [f"{'merge' if place else 'from'} :{parent}" for place, parent in enumerate(parents)]
        self.parts.append("\n".join(lines) + "\n\n")
        return self.marks


def seeded_history(bare: Bare, *, commits_min: int, seed: int) -> list[str]:
    """Make the history on main; return the ids of its releases, oldest first."""
    rng = random.Random(seed)
    stream = _Stream(rng)
    tip = stream.commit("main", "PAY-0: Begin\n")
    releases: list[int] = []
    number = 0
    while stream.marks < commits_min:
        number += 1
        tip = _change(stream, rng.choice(_SHAPES), number, tip)
        if number % 97 == 0:
            releases.append(tip)
            stream.parts.append(f"reset refs/tags/v{len(releases)}\nfrom :{tip}\n\n")
    stream.parts.append(f"reset refs/heads/main\nfrom :{tip}\n\n")
    bare.git("fast-import", "--quiet", "--force", given="".join(stream.parts).encode())
    return [bare.git("rev-parse", f"v{place}") for place in range(1, len(releases) + 1)]


def _change(stream: _Stream, shape: str, number: int, tip: int) -> int:
    """Add one change to main; return its newest commit."""
    trailers = f"\nFixes: PAY-{number}\nSigned-off-by: Ada <ada@example.org>\nCo-authored-by: Bob <bob@example.org>\n"
    match shape:
        case "squash":
            return stream.commit("main", f"Change {number} (#{number})\n\n* one\n* two\n{trailers}", tip)
        case "rebase":
            for part in range(stream.rng.randrange(1, 5)):
                tip = stream.commit("main", f"PAY-{number}: part {part}\n{trailers}", tip)
            return tip
        case "merge" | "octopus":
            sides = []
            for side in range(3 if shape == "octopus" else 1):
                one = tip
                for part in range(stream.rng.randrange(1, 5)):
                    one = stream.commit(f"topic-{number}-{side}", f"topic {number} part {part}\n", one)
                sides.append(one)
            return stream.commit("main", f"Merge pull request #{number} from acme/topic\n\nPAY-{number}\n", tip, *sides)
        case "revert":
            return stream.commit("main", f'Revert "Change {number - 1}"\n\nThis reverts commit {"a" * 40}.\n', tip)
    return stream.commit("main", f"fix typo {number}\n", tip)
