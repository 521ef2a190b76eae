"""The outbox against a model: in any order of writes, deliveries, crashes and disk errors, nothing is lost silently."""

from __future__ import annotations

import contextlib
import errno
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from landscape.endurance import repeated
from whence_agent.report.outbox import Outbox
from whence_common.runtime.files import Disk

STATEMENTS_MAX = 4
BYTES_MAX = 2_000


class Crash(Exception):
    """The process is killed at this point."""


class FailingDisk(Disk):
    """A real disk that raises at the n-th step of a write: before, between or after any of them."""

    def __init__(self) -> None:
        self.steps_left: int | None = None
        self.error: type[Exception] = Crash

    def step(self, name: str) -> None:
        if self.steps_left is None:
            return
        if self.steps_left == 0:
            self.steps_left = None
            raise OSError(errno.ENOSPC, "no space left") if self.error is OSError else Crash(name)
        self.steps_left -= 1


class OutboxMachine(RuleBasedStateMachine):
    """`kept` are statements whose put returned; each must be returned once, in order, or be counted as dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="whence-outbox-"))
        self.disk = FailingDisk()
        self.sequence = 0
        self.kept: dict[int, bytes] = {}
        self.maybe: dict[int, bytes] = {}
        """Statements of a writer that was killed during the write: they may or may not exist."""
        self.told: list[int] = []
        self.lost = 0
        self.open()

    def open(self) -> None:
        self.outbox = Outbox(
            self.directory / "outbox", statements_max=STATEMENTS_MAX, bytes_max=BYTES_MAX, disk=self.disk
        )
        present = {int(path.name.partition(".")[0]) for path in (self.directory / "outbox").glob("*.statement")}
        self.maybe = {number: content for number, content in self.maybe.items() if number in present}

    def teardown(self) -> None:
        shutil.rmtree(self.directory)

    @rule(size=st.integers(1, 900))
    def put(self, size: int) -> None:
        self.sequence += 1
        content = b"%d " % self.sequence * (size // 3 + 1)
        before = self.outbox.dropped
        self.outbox.put(self.sequence, content)
        self.kept[self.sequence] = content
        self._forget_oldest(self.outbox.dropped - before)

    @rule(size=st.integers(1, 900), steps=st.integers(0, 14))
    def put_and_be_killed(self, size: int, steps: int) -> None:
        self.sequence += 1
        content = b"%d " % self.sequence * (size // 3 + 1)
        self.disk.steps_left, self.disk.error = steps, Crash
        with contextlib.suppress(Crash):
            self.outbox.put(self.sequence, content)
        self.disk.steps_left = None
        self.maybe[self.sequence] = content
        self._restart()

    @rule(steps=st.integers(0, 8))
    def put_on_a_full_disk(self, steps: int) -> None:
        self.sequence += 1
        content = b"%d full" % self.sequence
        self.disk.steps_left, self.disk.error = steps, OSError
        try:
            self.outbox.put(self.sequence, content)
        except OSError:
            self.maybe[self.sequence] = content
        else:
            self.kept[self.sequence] = content
        self.disk.steps_left = None
        self._restart()

    @precondition(lambda self: self.kept or self.maybe)
    @rule()
    def tell_the_oldest(self) -> None:
        waiting = self.outbox.oldest()
        if waiting is None:
            assert not self.kept
            return
        expected = {**self.maybe, **self.kept}
        assert waiting.envelope == expected[waiting.sequence]
        assert all(waiting.sequence <= number for number in self.kept)
        self.outbox.remove(waiting.sequence)
        assert waiting.sequence not in self.told, "told twice"
        self.told.append(waiting.sequence)
        self.kept.pop(waiting.sequence, None)
        self.maybe.pop(waiting.sequence, None)

    @rule()
    def restart(self) -> None:
        self._restart()

    @precondition(lambda self: self.kept)
    @rule(data=st.data(), junk=st.binary(max_size=200))
    def damage(self, data: st.DataObject, junk: bytes) -> None:
        number = data.draw(st.sampled_from(sorted(self.kept)))
        path = self.directory / "outbox" / f"{number:016d}.statement"
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2] + junk)
        before = self.outbox.dropped
        while (waiting := self.outbox.oldest()) is not None and waiting.sequence < number:
            self.outbox.remove(waiting.sequence)
            self.told.append(waiting.sequence)
            self.kept.pop(waiting.sequence, None)
            self.maybe.pop(waiting.sequence, None)
        self.outbox.oldest()
        assert self.outbox.dropped == before + 1
        self.lost += 1
        del self.kept[number]

    @invariant()
    def everything_kept_is_there_or_counted(self) -> None:
        assert len(self.outbox) <= STATEMENTS_MAX
        there = {int(path.name.partition(".")[0]) for path in (self.directory / "outbox").glob("*.statement")}
        assert set(self.kept) <= there

    def _restart(self) -> None:
        """Start again as after a kill; what was dropped on the way was dropped oldest first."""
        self.open()
        there = {int(path.name.partition(".")[0]) for path in (self.directory / "outbox").glob("*.statement")}
        gone = sorted(set(self.kept) - there)
        oldest = sorted(self.kept)[: len(gone)]
        assert gone == oldest, "something newer was lost before something older"
        self.lost += len(gone)
        assert self.outbox.dropped >= self.lost, "something was lost and not counted"
        for number in gone:
            del self.kept[number]

    def _forget_oldest(self, count: int) -> None:
        self.lost += count
        for number in sorted({**self.maybe, **self.kept})[:count]:
            self.kept.pop(number, None)
            self.maybe.pop(number, None)


OutboxMachine.TestCase.settings = settings(
    max_examples=repeated(sample=20, whole=1000), stateful_step_count=30, deadline=None
)
TestOutbox = pytest.mark.endurance(OutboxMachine.TestCase)
