"""SAML metadata at a URL: read within bounds of size and time, and without the secrets of the URL in errors."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from fakes.loopback import loopback
from fakes.misbehaving import Answer, misbehaving
from whence_aggregator.adapters.accounts.saml_metadata import read_document
from whence_common.errors import RoadError


async def _read(host: str, *, seconds_max: float = 20.0) -> str:
    return await read_document(f"http://user:word@{host}/metadata?token=secret", seconds_max=seconds_max)


async def test_a_document_is_read_whole_and_without_its_byte_order_mark() -> None:
    async with misbehaving(Answer(body="\ufeff<a>ä</a>".encode())) as host:
        assert await _read(host) == "<a>ä</a>"


@pytest.mark.parametrize(
    "answer, message",
    [
        (Answer(status=404), "answers with 404"),
        (Answer(status=302, headers={"Location": "http://127.0.0.1:1/"}), "answers with 302"),
        (Answer(body=b"\xff\xfe\x00"), "sends a document that is not UTF-8"),
        (Answer(endless=True), "sends more than 4000000 bytes"),
        (Answer(body=b"x" * 100_000, cut_off=True), "cannot be read: ClientPayloadError"),
    ],
)
async def test_an_answer_that_is_no_document_is_an_error_without_the_secrets_of_its_url(
    answer: Answer, message: str
) -> None:
    async with misbehaving(answer) as host:
        with pytest.raises(RoadError, match=message) as failed:
            await _read(host)
        assert failed.value.message.startswith(f"the SAML metadata of {host} ")
        assert "secret" not in failed.value.diagnostics()
        assert "word" not in failed.value.diagnostics()


async def test_a_host_that_never_answers_is_given_up() -> None:
    ended = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await ended.wait()
        return web.Response()

    application = web.Application()
    application.router.add_get("/{path:.*}", hang)
    async with loopback(application) as host:
        with pytest.raises(RoadError, match="cannot be read: TimeoutError"):
            await _read(host, seconds_max=0.05)
        ended.set()
