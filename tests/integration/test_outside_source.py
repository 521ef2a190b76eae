"""The client of code hosts and trackers: what hostile and broken ones send, and who sees its login."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import pytest
from aiohttp import web

from fakes.outside import Fault, OutsideHost, answering
from fakes.outside_client import outside_client
from whence_aggregator.adapters.outside import BODY_BYTES_MAX
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.trackers.source import all_items

PAGE = "<!DOCTYPE html><html><title>Sign in</title></html>"


async def refused(fault: Fault, directory: Path, *, seconds_max: float = 30.0) -> SourceUnavailable:
    """Return the error for an answer."""
    host = OutsideHost(answers={"/x": {}}, faults=[fault])
    async with host.serve(), outside_client(host, directory, login="s3cret-token", seconds_max=seconds_max) as client:
        with pytest.raises(SourceUnavailable) as caught:
            await client.source.get("/x")
    assert "s3cret" not in caught.value.diagnostics()
    return caught.value


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (answering(200, PAGE, kind="text/html"), "outside-login-page"),
        (answering(200, PAGE), "outside-login-page"),
        (answering(200, "\n\n\n" + PAGE), "outside-login-page"),
        (answering(200, "{}", kind="text/plain"), "outside-not-json"),
        (answering(200, "{"), "outside-not-json"),
        (answering(200, b"\xff\xfe{"), "outside-not-json"),
        (answering(200, '{"a": "\\ud800"}'), "outside-not-json"),
        (answering(200, ""), "outside-not-json"),
        (answering(200, "[" * 50 + "]" * 50), "outside-too-deep"),
        (answering(200, "[" * 100_000 + "]" * 100_000), "outside-not-json"),
        (answering(200, gzip.compress(b"{}"), Content_Encoding="gzip"), "outside-not-json"),
        (answering(200, b" " * (BODY_BYTES_MAX + 1)), "outside-too-large"),
        (answering(200, "{}", X_Seraph_LoginReason="AUTHENTICATED_FAILED"), "sign-in-refused"),
        (answering(200, "{}", X_Seraph_LoginReason="AUTHENTICATION_DENIED"), "sign-in-refused"),
        (answering(401, "{}"), "sign-in-refused"),
        (answering(500, "{}"), "outside-status"),
        (answering(502, PAGE, kind="text/html"), "outside-status"),
        (answering(204), "outside-status"),
        (answering(304), "outside-status"),
        (answering(302, Location="http://169.254.169.254/latest/meta-data/"), "outside-redirect"),
        (answering(302, Location="https://evil.example.org/"), "outside-redirect"),
        (answering(302, Location="//evil.example.org/"), "outside-redirect"),
        (answering(302, Location="http://user@127.0.0.1/"), "outside-redirect"),
        (answering(302, Location="file:///etc/passwd"), "outside-redirect"),
        (answering(302, Location="http://[::1"), "outside-redirect"),
        (answering(302), "outside-redirect"),
        (answering(200, "[]", Link='<https://evil.example.org/?page=2>; rel="next"'), "outside-redirect"),
        (answering(429, "{}"), "outside-limited"),
        (answering(403, '{"message": "You have exceeded a secondary rate limit."}'), "outside-limited"),
    ],
)  # fmt: skip
async def test_an_answer_that_cannot_be_used_is_refused(fault: Fault, code: str, tmp_path: Path) -> None:
    assert (await refused(fault, tmp_path)).code == code


async def test_a_redirect_within_the_host_is_followed_and_noted(tmp_path: Path) -> None:
    host = OutsideHost(answers={"/new/x": {"a": 1}}, renamed={"/old": "/new"})
    async with host.serve(), outside_client(host, tmp_path, login="token-1") as client:
        answer = await client.source.get("/old/x")
    assert (answer.document, answer.moved, host.paths) == ({"a": 1}, True, ["/old/x", "/new/x"])


async def test_a_login_is_sent_to_no_other_host_and_port(tmp_path: Path) -> None:
    other = OutsideHost(answers={"/x": {}})
    host = OutsideHost()
    async with other.serve(), host.serve():
        host.faults = [answering(302, Location=f"{other.url}/x")]
        async with outside_client(host, tmp_path, login="token-1") as client:
            with pytest.raises(SourceUnavailable, match="redirects to another host"):
                await client.source.get("/x")
    assert host.asked[0].headers["Authorization"] == "Bearer token-1"
    assert other.asked == []


async def test_redirects_without_an_end_are_given_up(tmp_path: Path) -> None:
    host = OutsideHost(renamed={"/x": "/x/x"})
    async with host.serve(), outside_client(host, tmp_path) as client:
        with pytest.raises(SourceUnavailable, match="redirects more than 3 times"):
            await client.source.get("/x")


async def test_a_source_that_never_ends_its_answer_is_given_up(tmp_path: Path) -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        await answer.write(b"[")
        await asyncio.Event().wait()
        return answer

    error = await refused(slow, tmp_path, seconds_max=0.2)
    assert (error.code, error.message) == ("outside-unreachable", "tracker.example.org took too long")


@pytest.mark.parametrize("addresses", [("10.0.0.1",), ("169.254.169.254",), ("127.0.0.1",), ("8.8.8.8", "10.0.0.1"),
                                       ("::ffff:10.0.0.1",), ("fd00:ec2::254",)])  # fmt: skip
async def test_a_host_with_a_private_address_is_refused_unless_configured(
    addresses: tuple[str, ...], tmp_path: Path
) -> None:
    host = OutsideHost()
    async with outside_client(
        host, tmp_path, private=False, addresses=addresses, base_url="https://tracker.example.org"
    ) as client:
        with pytest.raises(SourceUnavailable, match="address") as caught:
            await client.source.get("/x")
    assert caught.value.fix == "if that is intended, set private_addresses: true for tracker.example.org"


async def test_an_unchanged_answer_is_not_sent_again_and_costs_no_limit(tmp_path: Path) -> None:
    host = OutsideHost(answers={"/x": {"a": 1}})
    async with host.serve(), outside_client(host, tmp_path) as client:
        first, second = await client.source.get("/x"), await client.source.get("/x")
        host.answers["/x"] = {"a": 2}
        third = await client.source.get("/x")
    assert [one.document for one in (first, second, third)] == [{"a": 1}, {"a": 1}, {"a": 2}]
    assert [one.status for one in host.asked] == [200, 304, 200]


async def test_a_page_that_came_after_a_full_one_is_read_though_the_full_one_is_unchanged(tmp_path: Path) -> None:
    """A dismissal may be the first item of a page that was not there before; a 304 need not name it."""
    host = OutsideHost(answers={"/x": [{"n": n} for n in range(20)]}, page_items=20)

    async def without_link(request: web.Request) -> web.StreamResponse:
        answer = host.found(request)
        if answer.status == 304:
            answer.headers.popall("Link", None)
        return answer

    async with host.serve(), outside_client(host, tmp_path) as client:
        assert len(await all_items(client.source, "/x") or []) == 20
        host.answers["/x"].append({"n": 20})
        host.faults = [without_link]
        assert len(await all_items(client.source, "/x") or []) == 21
        assert len(await all_items(client.source, "/x") or []) == 21
    assert [one.status for one in host.asked] == [200, 200, 200, 304, 304]


async def test_an_answer_that_one_login_may_read_is_not_shown_for_another(tmp_path: Path) -> None:
    host = OutsideHost(answers={"/x": {"a": 1}})
    async with host.serve(), outside_client(host, tmp_path, login="ada:1", kind="jira") as client:
        await client.source.get("/x")
        (tmp_path / "login").write_text("bob:1")
        await client.source.get("/x")
    assert [one.status for one in host.asked] == [200, 200]


async def test_a_limited_source_is_not_asked_before_the_time_that_it_names(tmp_path: Path) -> None:
    host = OutsideHost(answers={"/x": {}}, faults=[answering(429, "{}", Retry_After="120")])
    async with host.serve(), outside_client(host, tmp_path) as client:
        with pytest.raises(SourceUnavailable) as first:
            await client.source.get("/x")
        with pytest.raises(SourceUnavailable) as second:
            await client.source.get("/x")
        assert (first.value.retry_after_seconds, second.value.retry_after_seconds) == (120.0, 120.0)
        assert len(host.asked) == 1
        client.clock.advance(121)
        assert (await client.source.get("/x")).status == 200


async def test_a_used_up_limit_pauses_after_the_last_answer_that_was_given(tmp_path: Path) -> None:
    host = OutsideHost(answers={"/x": {}})
    async with host.serve(), outside_client(host, tmp_path) as client:
        reset = str(int(client.clock().timestamp()) + 300)
        host.headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}
        assert (await client.source.get("/x")).status == 200
        with pytest.raises(SourceUnavailable, match="limits requests"):
            await client.source.get("/x")
    assert len(host.asked) == 1


async def test_a_refused_login_is_not_repeated(tmp_path: Path) -> None:
    host = OutsideHost(answers={"/x": {}}, authorization=("Authorization", "Bearer right"))
    async with host.serve(), outside_client(host, tmp_path, login="wrong") as client:
        for _ in range(3):
            with pytest.raises(SourceUnavailable, match="does not accept the login"):
                await client.source.get("/x")
        (tmp_path / "login").write_text("right")
        assert (await client.source.get("/x")).status == 200
    assert [one.status for one in host.asked] == [401, 200]


@pytest.mark.parametrize(
    ("kind", "login", "name", "value"),
    [
        ("github", "t1", "Authorization", "Bearer t1"),
        ("gitlab", "t1", "PRIVATE-TOKEN", "t1"),
        ("gitea", "t1", "Authorization", "token t1"),
        ("jira-cloud", "ada@example.org:t1", "Authorization", "Basic YWRhQGV4YW1wbGUub3JnOnQx"),
        ("jira", "t1", "Authorization", "Bearer t1"),
        ("jira", "ada:t1", "Authorization", "Basic YWRhOnQx"),
        ("template", "ada:t1", "Authorization", "Basic YWRhOnQx"),
    ],
)  # fmt: skip
async def test_each_type_of_host_gets_its_login_in_its_own_header(
    kind: str, login: str, name: str, value: str, tmp_path: Path
) -> None:
    host = OutsideHost(answers={"/x": {}}, authorization=(name, value))
    async with host.serve(), outside_client(host, tmp_path, login=login, kind=kind) as client:  # type: ignore[arg-type]  # one of the types
        assert (await client.source.get("/x")).status == 200


async def test_all_pages_are_read_and_no_part_is_taken_for_the_whole(tmp_path: Path) -> None:
    host = OutsideHost(answers={"/x": [{"n": n} for n in range(25)]}, page_items=10)
    async with host.serve(), outside_client(host, tmp_path) as client:
        assert len(await all_items(client.source, "/x") or []) == 25
        with pytest.raises(SourceUnavailable, match="more than 2 pages"):
            await all_items(client.source, "/x", pages_max=2)
        host.answers["/x"] = {"message": "not a list"}
        with pytest.raises(SourceUnavailable, match="not a list"):
            await all_items(client.source, "/x")


async def test_at_most_so_many_requests_reach_a_host_at_once(tmp_path: Path) -> None:
    under_way, most, go_on = 0, 0, asyncio.Event()

    async def counted(_: web.Request) -> web.StreamResponse:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if under_way == 2:
            go_on.set()
        await go_on.wait()
        under_way -= 1
        return web.json_response({})

    host = OutsideHost(faults=[counted] * 6)
    async with host.serve(), outside_client(host, tmp_path, at_once=2) as client:
        await asyncio.gather(*(client.source.get(f"/{n}") for n in range(6)))
    assert (most, len(host.asked)) == (2, 6)


async def test_kept_answers_are_dropped_after_a_month(tmp_path: Path) -> None:
    host = OutsideHost(answers={"/x": {"text": "é" * 1000}})
    async with host.serve(), outside_client(host, tmp_path) as client:
        await client.source.get("/x")
        client.clock.advance(31 * 86_400)
        await client.kept.drop()
        await client.source.get("/x")
    assert [one.status for one in host.asked] == [200, 200]
