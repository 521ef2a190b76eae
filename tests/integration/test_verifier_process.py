"""Verification in a process of its own gives what verification here gives, in order, and survives that process's end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from fakes.machine import Machine
from fakes.signing_authority import SigningAuthority
from whence_aggregator.adapters.verifiers import VerifierProcess
from whence_aggregator.agents.verification import InThisProcess, Refusal, Submitted, VerifiedStatement
from whence_common.errors import RoadError
from whence_common.keys import public_key_to_wire

AUTHORITY = SigningAuthority.make()


@pytest.fixture
async def verifier() -> AsyncIterator[VerifierProcess]:
    process = VerifierProcess()
    await process.start()
    yield process
    await process.close()


def submitted(number: int, *, content: bytes | None = None) -> Submitted:
    machine = Machine(AUTHORITY, f"i-{number:017x}")
    instance = machine.predicate().instance
    return Submitted(
        content if content is not None else machine.statement(),
        public_key_to_wire(machine.key.public_key()),
        instance.instance_id,
        instance.account_id,
        instance.region,
    )


def child() -> int:
    """Give the verifier's process."""
    (found,) = [
        int(pid)
        for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
        if b"verifiers" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    return found


async def test_it_answers_as_verification_here_does(verifier: VerifierProcess) -> None:
    other = submitted(2)
    asked = [
        submitted(1),
        Submitted(other.content, other.public_key, "i-0000000000000000f", other.account_id, other.region),
        submitted(3, content=b"{}"),
        submitted(4, content=b'{"payload":"' + b"A" * 300_000),
        submitted(5, content=submitted(6).content),
    ]
    found = await verifier.verify(asked)
    assert found == await InThisProcess().verify(asked)
    assert isinstance(found[0], VerifiedStatement)
    assert [one.code for one in found if isinstance(one, Refusal)] == [
        "statement-of-other", "envelope-malformed", "envelope-too-large", "envelope-signature",
    ]  # fmt: skip


async def test_a_statement_that_shows_a_bug_of_ours_is_refused_alone() -> None:
    bug = submitted(2, content=cast(bytes, 7))
    found = await InThisProcess().verify([submitted(1), bug, submitted(3)])
    assert [one.code if isinstance(one, Refusal) else "" for one in found] == ["", "internal-error", ""]


async def test_many_batches_at_once_get_each_its_own_answers(verifier: VerifierProcess) -> None:
    batches = [[submitted(10 * batch + number) for number in range(batch % 4)] for batch in range(20)]
    answers = await asyncio.gather(*(verifier.verify(batch) for batch in batches))
    for batch, answer in zip(batches, answers, strict=True):
        assert answer == await InThisProcess().verify(batch)


async def test_when_it_is_killed_all_waiting_calls_fail_and_the_next_call_starts_another(
    verifier: VerifierProcess,
) -> None:
    first = child()
    os.kill(first, signal.SIGSTOP)
    waiting = [asyncio.create_task(verifier.verify([submitted(number)])) for number in range(3)]
    await asyncio.wait(waiting, timeout=0.05)
    os.kill(first, signal.SIGKILL)
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert [getattr(one, "code", one) for one in told] == ["verifier-ended"] * 3
    assert all(isinstance(one, RoadError) for one in told)
    (found,) = await verifier.verify([submitted(7)])
    assert isinstance(found, VerifiedStatement)
    assert child() != first


async def test_a_cancelled_call_never_leaves_its_answer_to_the_next(verifier: VerifierProcess) -> None:
    os.kill(child(), signal.SIGSTOP)
    given_up = asyncio.create_task(verifier.verify([submitted(1)]))
    await asyncio.wait([given_up], timeout=0.05)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    asked = [submitted(2)]
    assert await verifier.verify(asked) == await InThisProcess().verify(asked)


async def test_after_its_end_it_leaves_no_process(verifier: VerifierProcess) -> None:
    pid = child()
    await verifier.close()
    assert not Path(f"/proc/{pid}").exists()
