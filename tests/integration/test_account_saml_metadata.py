"""SAML metadata by URL: read once before a plan, within bounds, and compared as the XML that it is."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from fakes.loopback import loopback
from fakes.misbehaving import Answer, misbehaving
from whence_aggregator.accounts.account import Account
from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.saml import with_metadata
from whence_aggregator.adapters.accounts.saml_metadata import HttpMetadata
from whence_common.errors import InputError, RoadError


def _account(providers: dict[str, Any]) -> Account:
    section = {"id": "123456789012", "regions": ["eu-west-1"], "saml_providers": providers}
    return Account(name="hello", account_id="123456789012", settings=msgspec.convert(section, AccountSettings))


async def _read(host: str, *, seconds_max: float = 20.0) -> str:
    async with aiohttp.ClientSession() as session:
        return await HttpMetadata(session, seconds_max=seconds_max)(f"http://user:word@{host}/metadata?token=secret")


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


async def test_urls_are_replaced_by_what_they_lead_to_and_xml_is_left() -> None:
    asked: list[str] = []

    async def fetch(url: str) -> str:
        asked.append(url)
        return "<fetched/>"

    account = _account({"a": " https://idp.example.org/m\n", "b": "<b/>", "c": None})
    found = await with_metadata(account, fetch)
    assert found.settings.saml_providers == {"a": "<fetched/>", "b": "<b/>", "c": None}
    assert asked == ["https://idp.example.org/m"]


@pytest.mark.parametrize("url", ["http://idp.example.org/m", "file:///etc/passwd", "idp.example.org"])
async def test_a_url_that_is_not_https_is_refused_before_anything_is_read(url: str) -> None:
    async def fetch(url: str) -> str:
        raise AssertionError(url)

    with pytest.raises(InputError, match=r"accounts\.hello\.saml_providers\.a is neither XML nor an https URL"):
        await with_metadata(_account({"a": url}), fetch)
