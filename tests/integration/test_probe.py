"""The probe of containers: what it says of a program that is ready, that is not, and that does not answer."""

from __future__ import annotations

import asyncio
import socket
import sys

import pytest

from fakes.misbehaving import Answer, misbehaving
from landscape.processes import free_port


async def probe(*words: str, **environment: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-Im", "whence_common.runtime.probe", *words,
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_a_program_that_is_ready_is_reported_without_a_word() -> None:
    async with misbehaving({"/ready": Answer(body=b"{}")}) as host:
        assert await probe(f"http://{host}/ready", http_proxy="http://127.0.0.1:1") == (0, "")


async def test_the_reason_is_shown_and_cut() -> None:
    async with misbehaving(Answer(status=503, body=b"draining " * 1000)) as host:
        code, said = await probe(f"http://{host}/ready")
    assert (code, said.startswith("HTTP 503: draining")) == (1, True)
    assert len(said) < 400


@pytest.mark.parametrize("answer", [Answer(status=204), Answer(status=404), Answer(body=b"ok" * 9, cut_off=True)])
async def test_only_200_is_ready(answer: Answer) -> None:
    async with misbehaving(answer) as host:
        assert (await probe(f"http://{host}/ready"))[0] == (0 if answer.status == 200 else 1)


async def test_a_program_that_does_not_listen_or_never_answers_is_not_ready() -> None:
    code, said = await probe(f"http://127.0.0.1:{free_port()}/ready")
    assert (code, "refused" in said) == (1, True)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code, said = await probe(f"http://127.0.0.1:{silent.getsockname()[1]}/ready")
    assert (code, "timed out" in said) == (1, True)


@pytest.mark.parametrize("words", [("file:///etc/passwd",), ("https://127.0.0.1/",), ("http://a", "http://b")])
async def test_wrong_usage_is_told_from_not_ready(words: tuple[str, ...]) -> None:
    code, said = await probe(*words)
    assert (code, said.startswith("usage: ")) == (2, True)
