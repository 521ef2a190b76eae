"""Floods against our server: what one client stalls, holds or leaves unread is bounded, and its neighbours are served."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable
from pathlib import Path

import pytest
from aiohttp import web

from fakes.guarded_server import Client, guarded_server
from landscape.certificates import loopback_certificates
from whence_aggregator.callers.trusted_proxies import TrustedProxies
from whence_aggregator.http.bodies import JsonResponse, read_body
from whence_aggregator.http.client_address import client_address, limited_address
from whence_aggregator.http.connections import ConnectionBounds
from whence_aggregator.http.metrics import MetricsCalls
from whence_aggregator.http.pace import RequestPace
from whence_aggregator.http.slots import Slots
from whence_common.open_metrics import Family
from whence_common.runtime.logs import JsonLines
from whence_common.runtime.pause import pause

PACE = RequestPace(grace_seconds=0.3, bytes_per_second_min=100_000.0)
CHUNK = b"x" * 65_536


async def healthy(_: web.Request) -> JsonResponse:
    return JsonResponse(b"{}")


async def take(request: web.Request) -> JsonResponse:
    return JsonResponse(b"%d" % len(await read_body(request, 1 << 20)))


async def take_quickly(request: web.Request) -> JsonResponse:
    return JsonResponse(b"%d" % len(await read_body(request, 1 << 20, pace=PACE)))


async def address(request: web.Request) -> JsonResponse:
    return JsonResponse(f"{client_address(request)} {limited_address(request)}".encode())


class Endless:
    """Sends without end, and counts how many it is doing that for."""

    def __init__(self) -> None:
        self.running = 0
        self.slots = Slots("transfers", 12)

    async def send(self, request: web.Request) -> web.StreamResponse:
        with self.slots.take(request, request.headers.get("Caller", "")):
            self.running += 1
            try:
                response = web.StreamResponse()
                await response.prepare(request)
                while True:
                    await response.write(CHUNK)
            finally:
                self.running -= 1

    async def settled(self, running: int) -> None:
        async with asyncio.timeout(20.0):
            while self.running != running:
                await pause(0.01)


def routes(endless: Endless | None = None) -> Iterable[web.RouteDef]:
    found = [web.get("/health", healthy), web.post("/take", take), web.post("/quick", take_quickly)]
    return [*found, web.get("/address", address), *([web.get("/endless", endless.send)] if endless else [])]


def head(path: str, size: int) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode()


async def test_a_stalled_body_is_refused_when_its_time_is_over() -> None:
    async with guarded_server(routes()) as server:
        client = await server.connect()
        client.send(head("/quick", 1_000) + b"x")
        first, body = await client.answered()
        assert first.startswith(b"HTTP/1.1 408")
        assert b"body-too-slow" in body
        assert server.refused.all()["slow-body"] == 1


async def test_a_body_that_drips_is_refused_although_it_never_stalls() -> None:
    async with guarded_server(routes()) as server:
        client = await server.connect()
        client.send(head("/quick", 1_000_000))
        dripping = asyncio.create_task(client.answered())
        while not dripping.done():
            client.send(b"x" * 100)
            await pause(0.01)
        assert (await dripping)[0].startswith(b"HTTP/1.1 408")


async def test_a_body_that_comes_steadily_is_taken_however_long_it_takes() -> None:
    async with guarded_server(routes()) as server:
        client = await server.connect()
        client.send(head("/quick", 400_000))
        for _ in range(10):
            client.send(b"x" * 40_000)
            await pause(0.05)
        assert (await client.answered())[1] == b"400000"


async def test_what_stalled_bodies_hold_is_bounded_and_the_oldest_make_room() -> None:
    async with guarded_server(routes(), bounds=ConnectionBounds(held_bytes_max=1 << 20)) as server:
        stalled = [await server.connect() for _ in range(12)]
        for one in stalled:
            one.send(head("/take", 200_000) + CHUNK)
        await server.counted("held-bytes", 5)
        await stalled[0].ended()
        neighbour = await server.connect()
        neighbour.send(head("/take", 1_000) + b"x" * 1_000)
        assert (await neighbour.answered())[1] == b"1000"


async def test_another_address_has_room_for_a_large_body_during_a_flood() -> None:
    async with guarded_server(routes(), bounds=ConnectionBounds(held_bytes_max=1 << 20)) as server:
        for _ in range(12):
            (await server.connect("127.0.0.66")).send(head("/take", 200_000) + CHUNK)
        await server.counted("held-bytes", 5)
        refused = server.refused.all()["held-bytes"]
        neighbour = await server.connect("127.0.0.2")
        neighbour.send(head("/take", 200_000) + b"x" * 200_000)
        assert (await neighbour.answered())[1] == b"200000"
        assert server.refused.all()["held-bytes"] == refused


async def test_a_head_without_end_counts_as_held_too() -> None:
    async with guarded_server(routes(), bounds=ConnectionBounds(held_bytes_max=1 << 18)) as server:
        client = await server.connect()
        client.send(b"GET /health HTTP/1.1\r\n" + b"".join(b"A%d: %s\r\n" % (n, b"x" * 8_000) for n in range(60)))
        await client.ended()


async def test_requests_sent_ahead_of_their_turn_are_bounded() -> None:
    over = asyncio.Event()

    async def never(_: web.Request) -> JsonResponse:
        await over.wait()
        return JsonResponse(b"{}")

    async with guarded_server([web.get("/never", never)], bounds=ConnectionBounds(early_bytes_max=100_000)) as server:
        client = await server.connect()
        client.send(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n")
        while not server.refused.all()["early-bytes"]:
            client.send(b"GET /health HTTP/1.1\r\nHost: a\r\nA: " + b"x" * 5_000 + b"\r\n\r\n")
            await pause(0.005)
        await client.ended()
        over.set()


async def test_a_client_that_reads_nothing_is_ended_and_its_handler_with_it() -> None:
    endless = Endless()
    bounds = ConnectionBounds(slow_seconds_max=0.3, bytes_per_second_min=10_000_000.0)
    async with guarded_server(routes(endless), bounds=bounds) as server:
        client = await server.connect()
        client.send(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
        await server.counted("slow-reader")
        await endless.settled(0)


async def test_a_client_that_reads_a_little_now_and_then_is_ended_too() -> None:
    endless = Endless()
    bounds = ConnectionBounds(slow_seconds_max=0.5, bytes_per_second_min=10_000_000.0)
    async with guarded_server(routes(endless), bounds=bounds) as server:
        client = await server.connect()
        client.send(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
        reading = asyncio.create_task(server.counted("slow-reader"))
        while not reading.done():
            await client.reader.read(10_000)
            await pause(0.02)
        await reading
        await endless.settled(0)


async def test_a_large_json_answer_that_the_client_does_not_read_is_dropped() -> None:
    async def large(_: web.Request) -> JsonResponse:
        return JsonResponse(b"x" * 50_000_000)

    bounds = ConnectionBounds(held_bytes_max=60_000_000)
    async with guarded_server([*routes(), web.get("/large", large)], bounds=bounds) as server:
        client = await server.connect()
        client.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        await server.counted("held-bytes")
        assert await (await server.connect()).ask("/health") == b"{}"


async def test_slow_readers_with_one_token_leave_transfers_to_others() -> None:
    endless = Endless()
    async with guarded_server(routes(endless)) as server:
        ask = b"GET /endless HTTP/1.1\r\nHost: a\r\nCaller: %s\r\n\r\n"
        for _ in range(12):
            (await server.connect()).send(ask % b"reader")
        await server.counted("transfers", 8)
        assert endless.running == 4
        (await server.connect()).send(ask % b"other")
        (await server.connect("127.0.0.2")).send(ask % b"reader-elsewhere")
        await endless.settled(6)


async def test_anonymous_slow_readers_are_bounded_by_their_address() -> None:
    endless = Endless()
    async with guarded_server(routes(endless)) as server:
        ask = b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n"
        for _ in range(12):
            (await server.connect()).send(ask)
        await server.counted("transfers", 6)
        assert endless.running == 6
        (await server.connect("127.0.0.2")).send(ask)
        await endless.settled(7)


async def test_a_connection_that_made_one_request_is_closed_after_its_rest() -> None:
    async with guarded_server(routes(), bounds=ConnectionBounds(rest_seconds_max=0.3)) as server:
        client = await server.connect()
        assert await client.ask("/health") == b"{}"
        await client.ended()


async def test_a_connection_ends_after_its_last_request_and_announces_it() -> None:
    async with guarded_server(routes(), bounds=ConnectionBounds(requests_max=3)) as server:
        client = await server.connect()
        heads = []
        for _ in range(3):
            client.send(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            heads.append((await client.answered())[0].lower())
        assert [b"connection: close" in one for one in heads] == [False, False, True]
        await client.ended()


async def test_a_connection_ends_after_its_life() -> None:
    async with guarded_server(routes(), bounds=ConnectionBounds(life_seconds_max=0.0)) as server:
        client = await server.connect()
        client.send(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"connection: close" in (await client.answered())[0].lower()
        await client.ended()


async def test_one_address_cannot_take_all_connections() -> None:
    async with guarded_server(routes(), bounds=ConnectionBounds(connections_max=16)) as server:
        flood = [await server.connect("127.0.0.66") for _ in range(40)]
        await server.counted("connections", 32)
        await flood[0].ended()
        for number in range(2, 6):
            assert await (await server.connect(f"127.0.0.{number}")).ask("/health") == b"{}"


async def test_connections_of_ever_other_addresses_keep_no_newcomer_out() -> None:
    """One customer has 65,536 networks of IPv6, and each of them counts for itself."""
    async with guarded_server(routes(), bounds=ConnectionBounds(connections_max=8)) as server:
        strangers = [await server.connect(f"127.0.1.{number}") for number in range(1, 21)]
        await server.counted("connections", 12)
        assert await (await server.connect("127.0.0.2")).ask("/health") == b"{}"
        await strangers[0].ended()


async def test_bodies_of_ever_other_addresses_leave_room_for_a_newcomers() -> None:
    async with guarded_server(routes(), bounds=ConnectionBounds(held_bytes_max=1 << 20)) as server:
        for number in range(1, 21):
            (await server.connect(f"127.0.1.{number}")).send(head("/take", 200_000) + CHUNK)
        await server.counted("held-bytes", 4)
        neighbour = await server.connect("127.0.0.2")
        neighbour.send(head("/take", 100_000) + b"x" * 100_000)
        assert (await neighbour.answered())[1] == b"100000"


async def test_a_flood_of_connections_leaves_those_busy_with_a_request_alone() -> None:
    endless = Endless()
    async with guarded_server(routes(endless), bounds=ConnectionBounds(connections_max=16)) as server:
        (await server.connect()).send(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
        await endless.settled(1)
        for _ in range(40):
            await server.connect()
        await server.counted("connections", 32)
        assert endless.running == 1
        assert await (await server.connect()).ask("/health") == b"{}"


@pytest.mark.parametrize(
    ("peer", "said"),
    [
        ("127.0.0.9", b"192.0.2.1 192.0.2.1"),
        ("127.0.1.1", b"127.0.1.1 127.0.1.1"),
    ],
)
async def test_only_a_trusted_peer_may_name_its_client(peer: str, said: bytes) -> None:
    async with guarded_server(routes(), proxies=TrustedProxies.parse(["127.0.0.0/24"])) as server:
        client = await server.connect(peer)
        assert await client.ask("/address", "X-Forwarded-For: 203.0.113.9, 192.0.2.1\r\n") == said


async def test_one_connection_of_a_proxy_carries_many_clients() -> None:
    async with guarded_server(routes(), proxies=TrustedProxies.parse(["127.0.0.0/24"])) as server:
        client = await server.connect()
        for name in ("192.0.2.1", "192.0.2.2"):
            assert await client.ask("/address", f"X-Forwarded-For: {name}\r\n") == f"{name} {name}".encode()
        said = b"2001:db8:1:2::7 2001:db8:1:2::/64"
        assert await client.ask("/address", "X-Forwarded-For: [2001:db8:1:2::7]:443\r\n") == said
        assert await client.ask("/address") == b"127.0.0.1 127.0.0.1"


async def test_a_flood_through_a_proxy_counts_for_its_client_and_not_for_the_proxy() -> None:
    bounds = ConnectionBounds(held_bytes_max=1 << 20, connections_max=40)
    async with guarded_server(routes(), bounds=bounds, proxies=TrustedProxies.parse(["127.0.0.0/24"])) as server:
        for _ in range(12):
            stalled = b"POST /take HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.66\r\nContent-Length: 200000\r\n\r\n"
            (await server.connect()).send(stalled + CHUNK)
        await server.counted("held-bytes", 5)
        refused = server.refused.all()["held-bytes"]
        neighbour = await server.connect()
        neighbour.send(
            b"POST /take HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.2\r\nContent-Length: 200000\r\n\r\n"
        )
        neighbour.send(b"x" * 200_000)
        assert (await neighbour.answered())[1] == b"200000"
        assert server.refused.all()["held-bytes"] == refused


PROXIED = TrustedProxies.parse(["127.0.0.0/24"], "proxy-protocol")
V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes([192, 0, 2, 7, 127, 0, 0, 1, 0x9C, 0x40, 0x01, 0xBB])


@pytest.mark.parametrize("header", [b"PROXY TCP4 192.0.2.7 127.0.0.1 40000 443\r\n", V2])
async def test_a_proxy_header_names_the_client_and_forwarded_headers_do_not(header: bytes) -> None:
    async with guarded_server(routes(), proxies=PROXIED) as server:
        client = await server.connect()
        client.send(header)
        assert await client.ask("/address", "X-Forwarded-For: 203.0.113.9\r\n") == b"192.0.2.7 192.0.2.7"
        assert await client.ask("/address") == b"192.0.2.7 192.0.2.7"


async def test_tls_begins_after_the_proxy_header(tmp_path: Path) -> None:
    certificates = await loopback_certificates(tmp_path)
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(certificates.certificate, certificates.key)
    theirs = ssl.create_default_context(cafile=str(certificates.authority))
    async with guarded_server(routes(), proxies=PROXIED, tls=ours) as server:
        sock = socket.create_connection(("127.0.0.1", server.port))
        sock.sendall(V2)
        reader, writer = await asyncio.open_connection(sock=sock, ssl=theirs, server_hostname="127.0.0.1")
        assert await Client(reader, writer).ask("/address") == b"192.0.2.7 192.0.2.7"
        writer.close()


async def test_a_connection_without_tls_is_logged_without_a_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificates = await loopback_certificates(tmp_path)
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(certificates.certificate, certificates.key)
    async with guarded_server(routes(), tls=ours) as server:
        for sent in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b""):
            client = await server.connect()
            client.send(sent)
            if not sent:
                client.writer.close()
            await client.ended()
    lines = [JsonLines(str).format(record) for record in caplog.records]
    assert not [line for line in lines if "Traceback" in line or '"error"' in line]


async def test_an_untrusted_peer_is_served_as_itself_and_its_proxy_header_is_no_http() -> None:
    async with guarded_server(routes(), proxies=PROXIED) as server:
        assert await (await server.connect("127.0.1.1")).ask("/address") == b"127.0.1.1 127.0.1.1"
        liar = await server.connect("127.0.1.1")
        liar.send(b"PROXY TCP4 192.0.2.7 127.0.0.1 40000 443\r\nGET /address HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await liar.answered())[0].startswith(b"HTTP/1.0 400")


async def test_a_trusted_peer_without_a_proxy_header_is_refused() -> None:
    async with guarded_server(routes(), proxies=PROXIED) as server:
        client = await server.connect()
        client.send(b"GET /address HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.ended()
        assert server.refused.all()["proxy-header"] == 1


async def test_a_closed_connection_whose_client_takes_no_more_is_ended() -> None:
    async def large(_: web.Request) -> JsonResponse:
        answer = JsonResponse(b"x" * 10_000_000)
        answer.force_close()
        return answer

    bounds = ConnectionBounds(slow_seconds_max=0.2, bytes_per_second_min=100_000_000.0)
    async with guarded_server([web.get("/large", large)], bounds=bounds) as server:
        client = await server.connect()
        sock: socket.socket = client.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        await server.counted("slow-reader")


async def test_a_crowd_of_one_address_makes_no_other_wait_for_all_of_it() -> None:
    handled: list[str] = []

    async def note(request: web.Request) -> JsonResponse:
        handled.append(client_address(request))
        return JsonResponse(b"{}")

    async with guarded_server([web.get("/note", note)]) as server:
        crowd = [await server.connect("127.0.0.66") for _ in range(200)]
        neighbour = await server.connect("127.0.0.2")
        for one in (*crowd, neighbour):  # all of it is there before the server looks
            one.send(b"GET /note HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.gather(*(one.answered() for one in (*crowd, neighbour)))
    assert len(handled) == 201
    assert handled.index("127.0.0.2") < 50


async def test_bodies_in_chunks_of_one_byte_arrive_whole_however_many_come_at_once() -> None:
    async with guarded_server(routes()) as server:
        crowd = [await server.connect("127.0.0.66") for _ in range(40)]
        for one in crowd:
            one.send(b"POST /take HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            one.send(b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n")
        assert {(await one.answered())[1] for one in crowd} == {b"20000"}
        assert await crowd[0].ask("/health") == b"{}"


async def test_metrics_are_rendered_once_for_all_who_ask_meanwhile() -> None:
    rendered = []

    def files() -> list[Family]:
        rendered.append(1)
        return []

    calls = MetricsCalls(sources=[], files=files, stored=None, sign_in=None, labels_public=lambda: False)
    async with guarded_server(calls.routes()) as server:
        crowd = [await server.connect() for _ in range(100)]
        for one in crowd:
            one.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        heads = [(await one.answered())[0] for one in crowd]
    assert all(head.startswith(b"HTTP/1.1 200") for head in heads)
    assert len(rendered) < 50


@pytest.fixture(scope="module")
async def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Give the server's side and its clients'."""
    certificates = await loopback_certificates(tmp_path_factory.mktemp("certificates"))
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(certificates.certificate, certificates.key)
    return ours, ssl.create_default_context(cafile=str(certificates.authority))


async def test_handshakes_that_never_end_are_bounded_and_block_no_client(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    async with guarded_server(routes(), tls=tls[0], bounds=ConnectionBounds(introduced_max=8)) as server:
        stalled = [await server.connect("127.0.0.66") for _ in range(20)]
        await server.counted("connections", 16)
        for one in stalled[:16]:
            await one.ended()
        for address in ("127.0.0.2", "127.0.0.66"):
            client = await server.connect(address, ssl=tls[1], server_hostname="127.0.0.1")
            assert await client.ask("/health") == b"{}"


async def test_handshakes_through_a_proxy_count_for_the_client_that_it_names(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    bounds = ConnectionBounds(introduced_max=8)
    async with guarded_server(routes(), proxies=PROXIED, tls=tls[0], bounds=bounds) as server:
        stalled = [await server.connect() for _ in range(20)]
        for one in stalled:
            one.send(b"PROXY TCP4 192.0.2.66 127.0.0.1 40000 443\r\n")
        await server.counted("connections", 16)
        await asyncio.gather(*(one.ended() for one in stalled[:16]))
        sock = socket.create_connection(("127.0.0.1", server.port))
        sock.sendall(V2)
        reader, writer = await asyncio.open_connection(sock=sock, ssl=tls[1], server_hostname="127.0.0.1")
        assert await Client(reader, writer).ask("/address") == b"192.0.2.7 192.0.2.7"
        writer.close()


async def test_a_header_that_never_comes_keeps_no_other_client_of_the_proxy_out() -> None:
    bounds = ConnectionBounds(introduced_max=4)
    async with guarded_server(routes(), proxies=PROXIED, bounds=bounds) as server:
        for _ in range(10):
            await server.connect()
        await server.counted("connections", 6)
        client = await server.connect()
        client.send(V2)
        assert await client.ask("/address") == b"192.0.2.7 192.0.2.7"
