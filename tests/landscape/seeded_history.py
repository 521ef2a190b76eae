"""A seeded history of many commits, made by fast-import, and what is true of each: its pull request, its tickets.

Squash, rebase, merge, octopus, revert and direct commits on main; releases as tags; from each release a line of its own
with backports, into which main is merged later. Clocks differ, so many commits are older than their parents.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from typing import Literal

from landscape.bare import TREE, Bare
from landscape.made_history import PROJECT, Fate, History, MadeCommit, MadePull, Shape

CHANGES_OF_RELEASE = 24
_START = 1_600_000_000
_SHAPES = ("squash", "rebase", "merge", "merge", "octopus", "revert", "direct")
Place = Literal["message", "branch", "title", "text", "link", "nowhere"]
_PLACES: tuple[Place, ...] = ("message", "message", "branch", "title", "text", "link", "nowhere")
_FATES: tuple[Fate, ...] = ("open", "open", "open", "missing", "closed-early", "moved", "moved-away")


def seeded_history(bare: Bare, *, commits_min: int, seed: int) -> History:
    """Make the history in an empty repository."""
    maker = _Maker(random.Random(seed))
    maker.run(commits_min)
    bare.git("fast-import", "--quiet", "--force", given="".join(maker.parts).encode())
    return maker.made


class _Maker:
    """Writes the input of `git fast-import`, and notes what it means."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._number = 0
        self._marks: dict[str, int] = {}
        self.made = History()
        self.parts: list[str] = []

    def run(self, commits_min: int) -> None:
        tip = self._commit("main", "root", "Begin\n", ())
        lines: list[str] = []
        changes = 0
        while len(self.made.commits) < commits_min:
            changes += 1
            tip = self._change(self._rng.choice(_SHAPES), tip)
            if changes % CHANGES_OF_RELEASE == 0:
                self._tag(f"v{len(self.made.releases) + 1}", tip)
                self.made.releases.append(tip)
                lines.append(tip)
            if changes % CHANGES_OF_RELEASE == CHANGES_OF_RELEASE // 2 and lines:
                self._patch(lines, tip)
        self.parts.append(f"reset refs/heads/main\nfrom :{self._marks[tip]}\n\n")

    def _patch(self, lines: list[str], main: str) -> None:
        """Continue a release's own line: backports, and now and then main is merged into it."""
        place = self._rng.randrange(len(lines))
        base, tip = f"release-{place + 1}", lines[place]
        for _ in range(self._rng.randrange(1, 4)):
            tip = self._backport(base, tip)
        if self._rng.random() < 0.3:
            tip = self._commit(base, "merge-back", f"Merge branch 'main' into {base}\n", (tip, main))
        lines[place] = tip
        self._tag(f"v{place + 1}.{len(self.made.patches) + 1}", tip)
        self.made.patches.append(tip)

    def _change(self, shape: str, tip: str) -> str:
        """Add one change to main; return its newest commit."""
        match shape:
            case "squash":
                return self._squash(tip)
            case "rebase":
                return self._rebase(tip)
            case "merge":
                return self._merge(tip)
            case "octopus":
                return self._octopus(tip)
            case "revert":
                return self._revert(tip)
        return self._commit("main", "direct", "fix typo\n", (tip,))

    def _squash(self, tip: str) -> str:
        number, ticket = self._next(), self._ticket()
        trailers = "Signed-off-by: Ada <ada@example.org>\nCo-authored-by: Bob <bob@example.org>\n"
        named = self._in_message(ticket, "trailer")
        fixes = "".join(f"Fixes: {name}\n" for name, _ in named)
        message = f"Let people pay (#{number})\n\n* one\n* two\n\n{fixes}{trailers}"
        made = self._commit("main", "squash", message, (tip,), tickets=named)
        self._pull(number, ticket, merge=made, landed=(made,))
        return made

    def _rebase(self, tip: str) -> str:
        number, ticket = self._next(), self._ticket()
        named = self._in_message(ticket, "subject")
        prefix = "".join(f"{name}: " for name, _ in named)
        landed: list[str] = []
        for part in range(self._rng.randrange(1, 5)):
            tip = self._commit("main", "rebase", f"{prefix}part {part}\n\nDetails.\n", (tip,), tickets=named)
            landed.append(tip)
        self._pull(number, ticket, merge=tip, landed=tuple(landed))
        return tip

    def _topic(self, tip: str, number: int, ticket: tuple[str, Place]) -> list[str]:
        found = []
        named = self._in_message(ticket, "body")
        body = "".join(f"\nWork towards it.\n\n{name}: the rest\nstill prose\n" for name, _ in named)
        for part in range(self._rng.randrange(1, 5)):
            tip = self._commit(f"topic-{number}", "topic", f"topic part {part}\n{body}", (tip,), tickets=named)
            found.append(tip)
        return found

    def _merge(self, tip: str) -> str:
        number, ticket = self._next(), self._ticket()
        side = self._topic(tip, number, ticket)
        branch, title = self._branch(number, ticket), self._title(ticket)
        named = tuple((name, "subject") for name, place in (ticket,) if place == "branch")
        named += tuple(
            (name, "trailer") for name, place in (ticket,) if place == "title"
        )  # as Git parses a last paragraph
        message = f"Merge pull request #{number} from acme/{branch}\n\n{title}\n"
        made = self._commit("main", "merge", message, (tip, side[-1]), tickets=named)
        self._pull(number, ticket, merge=made, landed=(*side, made), commits=tuple(side))
        return made

    def _octopus(self, tip: str) -> str:
        """Merge three branches at once: GitHub then takes all three pull requests for merged."""
        sides = []
        for _ in range(3):
            number, ticket = self._next(), self._ticket()
            sides.append((number, ticket, self._topic(tip, number, ticket)))
        names = ", ".join(f"'topic-{number}'" for number, _, _ in sides)
        made = self._commit("main", "octopus", f"Merge branches {names}\n", (tip, *(side[-1] for _, _, side in sides)))
        for number, ticket, side in sides:
            self._pull(number, ticket, merge=made, landed=(*side, made), commits=tuple(side))
        return made

    def _revert(self, tip: str) -> str:
        """Revert a commit with one parent, by a pull request that is squashed."""
        recent = list(self.made.commits.values())[-30:]
        choice = [one for one in recent if len(one.parents) == 1 and not one.message.startswith('Revert "Revert')]
        if not choice:
            return self._commit("main", "direct", "fix typo\n", (tip,))
        old, number = self._rng.choice(choice), self._next()
        subject = old.message.split("\n", 1)[0]
        message = f'Revert "{subject}" (#{number})\n\nThis reverts commit {old.id}.\n'
        named = tuple(one for one in old.tickets if one[1] == "subject")
        made = self._commit("main", "revert", message, (tip,), tickets=named, reverted=old.id)
        self._pull(number, ("", "nowhere"), merge=made, landed=(made,), title=f'Revert "{subject}"', named=named)
        return made

    def _backport(self, base: str, tip: str) -> str:
        """Pick a commit into a release's line, by a pull request of its own, whose number follows the old one."""
        old = self._rng.choice([one for one in self.made.commits.values() if one.shape in ("squash", "direct")][-20:])
        number = self._next()
        subject, _, rest = old.message.partition("\n")
        picked = f"(cherry picked from commit {old.id})\n"  # below trailers, or a paragraph of its own
        message = f"{subject} (#{number})\n{rest or chr(10)}{picked}"
        made = self._commit(base, "backport", message, (tip,), tickets=old.tickets)
        self._pull(number, ("", "nowhere"), merge=made, landed=(made,), base=base, title=f"Backport {old.id[:8]}")
        return made

    def _commit(
        self, branch: str, shape: Shape, message: str, parents: tuple[str, ...],
        *, tickets: tuple[tuple[str, str], ...] = (), reverted: str = "",
    ) -> str:  # fmt: skip
        mark = len(self._marks) + 1
        when = _START + 60 * mark + self._rng.randrange(-6_000, 6_000) // 300 * 300  # clocks differ, and many are equal
        zone = self._rng.choice(("+0000", "+0130", "-0800"))
        author = f"Ada <ada@example.org> {when - 50} {zone}"
        committer = f"GitHub <noreply@github.com> {when} {zone}"
        named = "".join(f"parent {one}\n" for one in parents)
        content = f"tree {TREE}\n{named}author {author}\ncommitter {committer}\n\n{message}".encode()
        made = hashlib.sha1(b"commit %d\0" % len(content) + content).hexdigest()  # as Git names commits
        lines = [
            f"commit refs/heads/{branch}", f"mark :{mark}", f"author {author}", f"committer {committer}",
            f"data {len(message.encode())}", message,
        ]  # fmt: skip
        lines += [f"{'merge' if place else 'from'} :{self._marks[one]}" for place, one in enumerate(parents)]
        self.parts.append("\n".join(lines) + "\n\n")
        assert made not in self._marks, "two commits that are equal would be one"
        self._marks[made] = mark
        self.made.commits[made] = MadeCommit(
            id=made, parents=parents, shape=shape, message=message, committed_at=when, tickets=tickets,
            reverted=reverted,
        )  # fmt: skip
        return made

    def _pull(
        self, number: int, ticket: tuple[str, Place], *, merge: str, landed: tuple[str, ...],
        commits: tuple[str, ...] = (), base: str = "main", title: str = "", named: tuple[tuple[str, str], ...] = (),
    ) -> None:  # fmt: skip
        """Note a pull request; commits of its branch that are in no history are made up."""
        branch = commits or tuple(hashlib.sha256(f"{number}.{part}".encode()).hexdigest()[:40] for part in range(2))
        self.made.pulls.append(MadePull(
            number=number, base=base, branch=self._branch(number, ticket), title=title or self._title(ticket),
            text=_text(ticket), head=branch[-1], commits=branch, merge=merge, landed=landed,
            tickets=tuple(_in_pull(ticket)) or tuple((name, "review-title") for name, _ in named),
        ))  # fmt: skip

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _ticket(self) -> tuple[str, Place]:
        """Draw a ticket and where a change names it: Jira's in most places, an issue of GitHub in a text."""
        place = self._rng.choice(_PLACES)
        if place == "nowhere":
            return "", place
        number = self._next()
        name = f"#{number}" if place == "text" else f"{PROJECT}-{number}"
        if place == "text":
            self.made.issues.append(number)
        fate = self._rng.choice(_FATES)
        self.made.fates[name] = "open" if place == "text" and fate.startswith("moved") else fate
        return name, place

    @staticmethod
    def _in_message(ticket: tuple[str, Place], where: str) -> tuple[tuple[str, str], ...]:
        return ((ticket[0], where),) if ticket[1] == "message" else ()

    @staticmethod
    def _branch(number: int, ticket: tuple[str, Place]) -> str:
        return f"feature/{ticket[0]}-pay" if ticket[1] == "branch" else f"topic-{number}"

    @staticmethod
    def _title(ticket: tuple[str, Place]) -> str:
        return f"{ticket[0]}: let people pay" if ticket[1] == "title" else "Let people pay"

    def _tag(self, name: str, commit: str) -> None:
        self.parts.append(f"reset refs/tags/{name}\nfrom :{self._marks[commit]}\n\n")


def _text(ticket: tuple[str, Place]) -> str:
    name, place = ticket
    if place == "text":
        return f"As agreed.\n\nCloses {name}\n"
    return f"See https://jira.example.org/browse/{name} for the rest.\n" if place == "link" else "As agreed.\n"


def _in_pull(ticket: tuple[str, Place]) -> Iterator[tuple[str, str]]:
    name, place = ticket
    where = {"branch": "branch", "title": "review-title", "text": "review-text", "link": "review-link"}.get(place)
    if where is not None:
        yield name, where
