"""Evaluates users' rules in a process of their own; a rule that ends it, or takes too long, is unknown."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import msgspec

from whence_aggregator.adapters.rule_messages import (
    EVALUATION_CPU_SECONDS_MAX,
    MESSAGE_BYTES_MAX,
    ConditionAnswer,
    ConditionsAsked,
)
from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.own.documented import document_of
from whence_aggregator.compliance.own.rules import OwnAnswer, OwnRule
from whence_aggregator.compliance.rule import Verdict, failed, passed, unknown
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

ANSWER_SECONDS_MAX = 30.0
"""For one condition: far more than its processor time, so that a loaded machine breaks no rule."""
BREAKS_MAX = 3
"""A rule that broke so often in succession is not evaluated for a while: each time costs a new process."""
SUSPENDED_SECONDS = 600.0
ENDING_SECONDS_MAX = 5.0
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(ConditionAnswer)
_TOO_LONG = f"the rule took longer than {EVALUATION_CPU_SECONDS_MAX} seconds"


class RuleProcess:
    """One process, started when it is first needed, and again after it has ended. It judges one subject at a time."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic, breaks_max: int = BREAKS_MAX) -> None:
        self._breaks_max = breaks_max
        self._monotonic = monotonic
        self._process: Process | None = None
        self._turn = asyncio.Lock()
        self._breaks: dict[str, int] = {}
        self._broken: dict[str, tuple[float, str]] = {}
        """By digest of the rule: until when it is not evaluated, and why."""
        self.counted: dict[tuple[str, str], int] = {}
        """How often each rule was not evaluated, by id and cause, for the metrics."""
        self.failing: dict[str, str] = {}
        """The rules that could not be evaluated when they were last asked, by id, and why."""

    async def judge(self, rules: Sequence[OwnRule], evidence: SubjectEvidence) -> Mapping[str, OwnAnswer]:
        """Return each rule's answer, by id. What cannot be evaluated is unknown."""
        if not rules:
            return {}
        found = {one.id: self._suspended(one) for one in rules}
        waiting = [one for one in rules if found[one.id] is None]
        whole = document_of(evidence)
        wanted = {one.partition(".")[0] for rule in waiting for one in rule.members}
        document = {name: one for name, one in whole.items() if name in wanted}
        async with self._turn:
            while waiting:
                answers, broken = await self._ask(waiting, document)
                for rule, answer in zip(waiting, answers, strict=False):
                    found[rule.id] = self._judged(rule, answer)
                waiting = waiting[len(answers) :]
                if broken and waiting:
                    found[waiting[0].id] = self._break(waiting[0], broken, evidence)
                    waiting = waiting[1:]
        return {name: one for name, one in found.items() if one is not None}

    async def close(self) -> None:
        """End the process."""
        if self._process is not None:
            await self._end(self._process)

    def _suspended(self, rule: OwnRule) -> OwnAnswer | None:
        until, reason = self._broken.get(rule.digest, (0.0, ""))
        if self._breaks.get(rule.digest, 0) < self._breaks_max or self._monotonic() >= until:
            return None
        self._count(rule.id, "suspended")
        return OwnAnswer(verdict=unknown(reason), broken=True)

    def _judged(self, rule: OwnRule, answer: ConditionAnswer) -> OwnAnswer:
        self._breaks.pop(rule.digest, None)
        self.failing.pop(rule.id, None)
        return OwnAnswer(verdict=_verdict(rule, answer))

    def _break(self, rule: OwnRule, reason: str, evidence: SubjectEvidence) -> OwnAnswer:
        """Record that a rule ended the process."""
        self._breaks[rule.digest] = self._breaks.get(rule.digest, 0) + 1
        self._broken[rule.digest] = (self._monotonic() + SUSPENDED_SECONDS, reason)
        self.failing[rule.id] = reason
        self._count(rule.id, "too-long" if reason == _TOO_LONG else "ended")
        log.error(
            "a rule could not be evaluated, and its verdict is unknown: correct it, or name it in rules_off",
            extra=fields(rule=rule.id, reason=reason, subject=f"{evidence.kind} {evidence.id}",
                         suspended=self._breaks[rule.digest] >= self._breaks_max),
        )  # fmt: skip
        return OwnAnswer(verdict=unknown(reason), broken=True)

    def _count(self, rule: str, cause: str) -> None:
        self.counted[rule, cause] = self.counted.get((rule, cause), 0) + 1

    async def _ask(self, rules: Sequence[OwnRule], document: dict[str, object]) -> tuple[list[ConditionAnswer], str]:
        """Return the answers, and why there is none from the first rule without one; empty if there are all."""
        content = _ENCODER.encode(ConditionsAsked([one.condition for one in rules], document))
        if len(content) > MESSAGE_BYTES_MAX:
            reason = f"the evidence is larger than {MESSAGE_BYTES_MAX} bytes"
            return [ConditionAnswer(None, reason) for _ in rules], ""
        answers = list[ConditionAnswer]()
        try:
            process = await self._running()
        except OSError:
            return answers, "the process that evaluates rules cannot be started"
        try:
            await self._exchange(process, content, len(rules), answers)
        except TimeoutError:
            await self._end(process)
            return answers, _TOO_LONG
        except (OSError, EOFError, msgspec.MsgspecError):
            return answers, await self._why_ended(process)
        except BaseException:
            await self._end(process)  # an unread answer must not be taken for that of the next subject
            raise
        return answers, ""

    async def _exchange(self, process: Process, content: bytes, count: int, answers: list[ConditionAnswer]) -> None:
        source, sink = process.stdout, process.stdin
        assert source is not None
        assert sink is not None
        sink.write(len(content).to_bytes(4, "big") + content)
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            await sink.drain()
        for _ in range(count):
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                size = int.from_bytes(await source.readexactly(4), "big")
                answers.append(_DECODER.decode(await source.readexactly(min(size, MESSAGE_BYTES_MAX))))

    async def _running(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "whence_aggregator.adapters.rule_engine",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "RUST_BACKTRACE": "0"},
            )  # fmt: skip
        return self._process

    async def _why_ended(self, process: Process) -> str:
        with suppress(TimeoutError):
            async with asyncio.timeout(ENDING_SECONDS_MAX):
                await process.wait()  # its own end has a cause that counts
        await self._end(process)
        if process.returncode == -signal.SIGXCPU:
            return _TOO_LONG
        return "the rule ended the process that evaluates it"

    async def _end(self, process: Process) -> None:
        if self._process is process:
            self._process = None
        if process.returncode is None:
            process.kill()
            await process.wait()


def _verdict(rule: OwnRule, answer: ConditionAnswer) -> Verdict:
    if answer.outcome is None:
        return unknown(answer.reason)
    if answer.outcome:
        return passed(f"the condition holds: {rule.source.title}")
    return failed(rule.source.reason or f"the condition does not hold: {rule.source.title}")
