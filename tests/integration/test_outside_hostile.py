"""Code hosts and trackers that mean harm, byte by byte: framing, headers, pages, tags, compression, names, numbers."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from fakes.outside import OutsideHost, answering
from fakes.outside_client import outside_client
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.trackers.github import GithubReader
from whence_aggregator.trackers.jira import JiraReader
from whence_aggregator.trackers.source import all_items
from whence_aggregator.trackers.template import TemplateReader, TicketTemplate

JSON = b"Content-Type: application/json\r\n"
BOMB = gzip.compress(b"[" + b" " * 50_000_000 + b"]")
"""50 MB in 50 KB."""


@asynccontextmanager
async def raw(*parts: bytes, hold: bool = False) -> AsyncIterator[OutsideHost]:
    """Serve exactly these bytes to each request, then close; with `hold`, keep the connection open."""
    ends = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            for part in parts:
                writer.write(part)
                await writer.drain()
            if hold:
                await ends.wait()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield OutsideHost(url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    finally:
        ends.set()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    "sent",
    [
        b"", b"\x00" * 1_000, b"SSH-2.0-OpenSSH_9.2\r\n", b"220 mail ESMTP\r\n", b"HTTP/9.9 200 OK\r\n\r\n", b"HTTP/1.1 99999 x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + JSON + b"Content-Length: 99\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + JSON + b"Content-Length: -1\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + JSON + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
        b"HTTP/1.1 200 OK\r\n" + JSON + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + JSON + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + JSON + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: a\r\n" % one for one in range(200_000)) + b"\r\n{}",
        b"HTTP/1.1 200 " + b"a" * 200_000 + b"\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n" + JSON + b"Content-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nnot a header\r\n\r\n{}",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 50 + b"HTTP/1.1 204 x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + JSON + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB,
        b"HTTP/1.1 200 OK\r\n" + JSON + b"Content-Encoding: gzip, gzip\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + JSON + b"Content-Encoding: br\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + JSON + b"Content-Encoding: deflate\r\nContent-Length: %d\r\n\r\n" % len(zlib.compress(b"{}")) + zlib.compress(b"{}"),
        b"HTTP/1.1 200 OK\r\n" + JSON + b"Content-Length: 5\r\n\r\n[1e4]]]]]]]]]HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    ],
)  # fmt: skip
async def test_what_is_no_whole_answer_of_plain_json_is_unknown_or_read_to_its_length(
    sent: bytes, tmp_path: Path
) -> None:
    async with raw(sent) as host, outside_client(host, tmp_path, login="s3cret-token", seconds_max=20.0) as client:
        try:
            assert (await client.source.get("/x")).document == [10_000.0]
        except SourceUnavailable as refused:
            assert "s3cret" not in refused.diagnostics()  # noqa: PT017 - either is right


@pytest.mark.parametrize(
    "begun",
    [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n" + JSON + b"\r\n[", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 3,
     b"HTTP/1.1 200 OK\r\n" + JSON + b"Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n"],
)  # fmt: skip
async def test_a_source_that_is_slow_for_ever_at_any_point_is_given_up(begun: bytes, tmp_path: Path) -> None:
    async with raw(begun, hold=True) as host, outside_client(host, tmp_path, seconds_max=0.3) as client:
        with pytest.raises(SourceUnavailable) as refused:
            await client.source.get("/x")
    assert (refused.value.code, refused.value.message) == ("outside-unreachable", "tracker.example.org took too long")


@pytest.mark.parametrize(
    "etag", ['"a\\b"', "*", '""', "W/", '"' + "a" * 5_000 + '"', '"é"', '"\udcff"', '"a", "b"', "\x7f", '"\U0001f600"']
)
async def test_no_tag_of_an_answer_breaks_the_next_request(etag: str, tmp_path: Path) -> None:
    sent = etag.encode("utf-8", "surrogateescape")
    head = b"HTTP/1.1 200 OK\r\n" + JSON + b"ETag: " + sent + b"\r\nContent-Length: 7\r\nConnection: close\r\n\r\n"
    async with raw(head + b'{"a":1}') as host, outside_client(host, tmp_path) as client:
        for _ in range(3):
            assert (await client.source.get("/x")).document == {"a": 1}


async def test_an_unchanged_answer_is_believed_only_for_what_was_kept_of_this_path_and_login(tmp_path: Path) -> None:
    host = OutsideHost(answers={"/x": {"a": 1}, "/y": {"a": 2}})
    async with host.serve(), outside_client(host, tmp_path, login="ada:1", kind="jira") as client:
        assert (await client.source.get("/x")).document == {"a": 1}
        host.faults = [answering(304)]
        with pytest.raises(SourceUnavailable, match="answers with HTTP 304"):
            await client.source.get("/y")
        (tmp_path / "login").write_text("bob:1")
        host.faults = [answering(304)]
        with pytest.raises(SourceUnavailable, match="answers with HTTP 304"):
            await client.source.get("/x")


async def test_a_tag_that_does_not_change_with_the_answer_hides_no_answer_that_was_sent(tmp_path: Path) -> None:
    host = OutsideHost(faults=[answering(200, f'{{"a": {one}}}', ETag='"same"') for one in range(3)])
    async with host.serve(), outside_client(host, tmp_path) as client:
        assert [(await client.source.get("/x")).document["a"] for _ in range(3)] == [0, 1, 2]


def endless(following: Callable[[str, int], str]) -> Callable[[OutsideHost], None]:
    """Return what makes each page of a host name another one."""

    def fill(host: OutsideHost) -> None:
        numbers = iter(range(10_000))

        async def page(_: web.Request) -> web.StreamResponse:
            return web.json_response([1], headers={"Link": f'<{following(host.url, next(numbers))}>; rel="next"'})

        host.faults = [page] * 100

    return fill


@pytest.mark.parametrize(
    "following",
    [lambda url, _: f"{url}/x", lambda url, number: f"{url}/x?page={number}", lambda _, number: f"?page={number}"],
)  # fmt: skip
async def test_pages_without_an_end_are_refused_whole(following: Callable[[str, int], str], tmp_path: Path) -> None:
    host = OutsideHost()
    async with host.serve(), outside_client(host, tmp_path) as client:
        endless(following)(host)
        with pytest.raises(SourceUnavailable, match="more than 10 pages, and is not read in part"):
            await all_items(client.source, "/x")
    assert len(host.asked) == 10


@pytest.mark.parametrize(
    "link",
    [
        "//evil.example.org/x", "http://127.0.0.1:1/x", "https://127.0.0.1/x", "http://user@{own}/x", "javascript:alert(1)", "file:///etc/passwd",
        "http://{own}.evil.example.org/x", "http://{own}@evil.example.org/x", "http://[::1/x", "http://{own}\\@evil.example.org/x",
        "http://169.254.169.254/latest/meta-data/", "/\udcff", "/é", "/a\x7fb", "http://{own}:99999/x", "http://{own}:x/x",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "to",
    [
        b"HTTP/1.1 200 OK\r\n" + JSON + b'Link: <TO>; rel="next"\r\nContent-Length: 2\r\n\r\n[]',
        b"HTTP/1.1 302 Found\r\nLocation: TO\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["page", "redirect"],
)
async def test_a_page_or_a_redirect_on_any_other_host_or_without_a_form_is_not_read(
    link: str, to: bytes, tmp_path: Path
) -> None:
    sent = link.replace("{own}", "127.0.0.1").encode("utf-8", "surrogateescape")
    async with raw(to.replace(b"TO", sent)) as host, outside_client(host, tmp_path, login="token-1") as client:
        with pytest.raises(SourceUnavailable) as refused:
            await all_items(client.source, "/x")
    assert refused.value.code in ("outside-redirect", "outside-unreachable")
    assert "token-1" not in refused.value.diagnostics()


async def test_a_host_that_names_another_address_after_the_check_is_reached_at_the_checked_one(tmp_path: Path) -> None:
    """DNS rebinding: each request connects to the address that was looked up for it, and looks up once."""
    looked_up: list[str] = []
    answers = iter([["203.0.113.7"], ["127.0.0.1"]])

    async def lookup(name: str) -> list[str]:
        looked_up.append(name)
        return next(answers)

    host = OutsideHost()
    async with outside_client(
        host, tmp_path, private=False, base_url="https://tracker.example.org", lookup=lookup, seconds_max=0.2
    ) as client:
        with pytest.raises(SourceUnavailable):
            await client.source.get("/x")
        assert looked_up == ["tracker.example.org"]
        with pytest.raises(SourceUnavailable, match="loopback address"):
            await client.source.get("/x")
    assert looked_up == ["tracker.example.org"] * 2


@pytest.mark.parametrize(
    "after", ["31536000", "99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT", "-1", "1e9", "é"]
)
async def test_a_pause_of_a_year_is_one_of_an_hour(after: str, tmp_path: Path) -> None:
    host = OutsideHost(answers={"/x": {}}, faults=[answering(429, "{}", Retry_After=after)])
    async with host.serve(), outside_client(host, tmp_path) as client:
        with pytest.raises(SourceUnavailable) as refused:
            await client.source.get("/x")
        assert refused.value.retry_after_seconds is not None
        assert 1.0 <= refused.value.retry_after_seconds <= 3_600.0
        client.clock.advance(3_601)
        assert (await client.source.get("/x")).status == 200


@pytest.mark.parametrize(
    "body",
    [
        "9" * 100_000, "-" + "9" * 5_000, "1e400", "NaN", "Infinity", '{"a": 1, "a": 2}', "\ufeff{}", '{"a": "\\u0000"}', '"' + "a" * 1_000_000 + '"',
        "[" + "{}," * 200_000 + "{}]", '{"__class__": "x"}', "true", '{"fields": {"summary": {"summary": "x"}}}', "[[[[]]]]",
        '{"key": "PAY-7", "fields": null}', '{"key": "PAY-7", "fields": {"summary": ["x"], "status": "x", "assignee": 7}}',
        '{"number": 1e308, "title": null, "state": []}', '{"id": "\\u202e", "url": "javascript:alert(1)", "html_url": "javascript:alert(1)"}',
    ],
)  # fmt: skip
async def test_a_ticket_out_of_any_json_is_bounded_printable_text_or_unknown(body: str, tmp_path: Path) -> None:
    template = TicketTemplate(
        path="/x/{number}", page_url="", fields={"title": "title", "status": "state"}, closed_states=[]
    )
    host = OutsideHost()
    async with host.serve(), outside_client(host, tmp_path) as client:
        for reader, name in (
            (GithubReader(client.source, host="g"), "acme/greeter#7"), (JiraReader(client.source, host="j", version=2, browse_url="https://j"), "PAY-7"),
            (TemplateReader(client.source, host="t", template=template), "x#7"),
        ):  # fmt: skip
            host.faults = [answering(200, body)] * 3
            try:
                found = await reader.ticket(name)
            except SourceUnavailable:
                continue
            wire = found.ticket.to_wire() if found.ticket is not None else {}
            assert all(str(one).isprintable() and len(str(one)) <= 400 for one in wire.values()), wire
            assert "javascript" not in str(wire)


async def test_a_sign_in_page_in_the_place_of_a_ticket_is_no_missing_ticket(tmp_path: Path) -> None:
    page = "<!DOCTYPE html><html><title>Sign in</title></html>"
    host = OutsideHost(faults=[answering(200, page, kind="text/html")] * 2)
    async with host.serve(), outside_client(host, tmp_path) as client:
        for reader in (GithubReader(client.source, host="g"),):
            with pytest.raises(SourceUnavailable, match="perhaps its sign-in"):
                await reader.ticket("acme/greeter#7")


async def test_cookies_of_a_host_are_never_sent_back(tmp_path: Path) -> None:
    host = OutsideHost(answers={"/x": {}}, faults=[answering(200, "{}", Set_Cookie="session=1; Path=/")])
    async with host.serve(), outside_client(host, tmp_path) as client:
        await client.source.get("/x")
        await client.source.get("/x")
    assert [one.headers.get("Cookie") for one in host.asked] == [None, None]
