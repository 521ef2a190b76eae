"""The status endpoint's connections are bounded in number and time, and no client can lock out on-call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress

import pytest

from fakes.agent_world import Ticks
from fakes.clocks import FakeClock
from whence_agent.progress.progress import Progress
from whence_agent.redaction import Redactor
from whence_agent.status.connections import (
    CONNECTIONS_MAX,
    CONNECTIONS_OF_PEER_MAX,
    StatusConnection,
    StatusConnections,
)
from whence_agent.status.endpoint import StatusEndpoint

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def asked(host: str = "127.0.0.1", path: str = "/ready", *more: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *more, "", ""]).encode()


@asynccontextmanager
async def endpoint(
    *, seconds_max: float = 30.0, idle_seconds_max: float = 5.0, names: tuple[str, ...] = ()
) -> AsyncIterator[int]:
    """Run an endpoint, as patient as the test says; give its port."""
    progress = Progress(now=FakeClock(), monotonic=lambda: 0.0, boot_id="b", started_at="")
    loop = asyncio.get_running_loop()
    served = StatusEndpoint(
        progress=progress, redactor=Redactor(), address="127.0.0.1", port=0, names=names,
        connections=StatusConnections(monotonic=loop.time, seconds_max=seconds_max, idle_seconds_max=idle_seconds_max),
    )  # fmt: skip
    running = asyncio.create_task(served.run())
    await asyncio.wait_for(served.listening.wait(), 10.0)
    try:
        yield served.port
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


@contextmanager
def closing(*pairs: Pair) -> Iterator[None]:
    try:
        yield
    finally:
        for _, writer in pairs:
            writer.close()


async def opened(port: int) -> Pair:
    return await asyncio.open_connection("127.0.0.1", port)


async def answer(pair: Pair, question: bytes = asked()) -> bytes:
    pair[1].write(question)
    return await asyncio.wait_for(pair[0].readline(), 20.0)


async def closed(pair: Pair) -> None:
    with suppress(ConnectionError):
        while await asyncio.wait_for(pair[0].read(65_536), 20.0):
            pass


@pytest.mark.parametrize("said", [b"", b"G", b"GET /status HTTP/1.1\r\nHost: localhost\r\n", asked()])
async def test_an_idle_connection_is_closed(said: bytes) -> None:
    async with endpoint(idle_seconds_max=0.1) as port:
        pair = await opened(port)
        with closing(pair):
            pair[1].write(said)
            await closed(pair)


async def test_a_slow_request_head_is_not_waited_for() -> None:
    async with endpoint(idle_seconds_max=0.2) as port:
        pair = await opened(port)

        async def drip() -> None:
            with suppress(ConnectionError):
                while True:
                    pair[1].write(b"X")
                    await pair[1].drain()
                    await asyncio.sleep(0.01)  # the drip itself; nothing is waited for

        dripping = asyncio.create_task(drip())
        with closing(pair):
            await closed(pair)
            dripping.cancel()


async def test_a_busy_connection_is_closed_at_its_longest_life() -> None:
    async with endpoint(seconds_max=0.3) as port:
        pair = await opened(port)
        with closing(pair), suppress(ConnectionError):
            while await answer(pair):
                pass


async def test_on_call_is_answered_although_all_connections_are_in_use() -> None:
    async with endpoint() as port, AsyncExitStack() as stack:
        held = [await opened(port) for _ in range(CONNECTIONS_MAX)]
        stack.enter_context(closing(*held))
        for pair in held[: CONNECTIONS_MAX // 2]:
            assert (await answer(pair)).startswith(b"HTTP/1.1 503")
        call = await opened(port)
        stack.enter_context(closing(call))
        assert (await answer(call)).startswith(b"HTTP/1.1 503")
        await closed(held[0])
        assert (await answer(held[-1])).startswith(b"HTTP/1.1 503"), "only the oldest had to go"


async def test_on_call_is_answered_while_a_client_reopens_all_connections() -> None:
    async with endpoint() as port:
        held: list[Pair] = []

        async def refill() -> None:
            while True:
                with suppress(ConnectionError):
                    held.append(await opened(port))
                if len(held) > CONNECTIONS_MAX * 2:
                    held.pop(0)[1].close()

        refilling = [asyncio.create_task(refill()) for _ in range(2)]
        try:
            answered = 0
            for _ in range(30):
                call = await opened(port)
                with closing(call), suppress(ConnectionError):
                    answered += (await answer(call)).startswith(b"HTTP/1.1 503")
            assert answered == 30
        finally:
            for one in refilling:
                one.cancel()
            await asyncio.gather(*refilling, return_exceptions=True)
            last = await opened(port)  # those that came before it are accepted then
            with closing(*held, last):
                await answer(last)


async def test_a_client_that_does_not_read_does_not_keep_its_connection() -> None:
    async with endpoint(idle_seconds_max=0.2) as port:
        pair = await opened(port)
        with closing(pair):
            for _ in range(200):
                pair[1].write(asked(path="/status"))
            await closed(pair)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:7380", "[::1]", "status.example.org"])
@pytest.mark.parametrize("path", ["/", "/status", "/metrics"])
async def test_requests_with_the_machines_names_are_answered(host: str, path: str) -> None:
    async with endpoint(names=("status.example.org",)) as port:
        pair = await opened(port)
        with closing(pair):
            assert await answer(pair, asked(host, path)) == b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("path", ["/", "/status", "/health", "/ready", "/metrics", "/nothing"])
async def test_a_page_that_rebinds_its_name_gets_421(path: str) -> None:
    async with endpoint() as port:
        pair = await opened(port)
        with closing(pair):
            pair[1].write(asked("attacker.example.org", path, "Connection: close"))
            said = await asyncio.wait_for(pair[0].read(), 20.0)
    assert said.startswith(b"HTTP/1.1 421")
    assert said.endswith(
        b"421: this Host is not a name of this machine; use its address, or add the name to status_hosts\n"
    )
    assert b"access-control" not in said.lower()


async def test_two_hosts_are_refused() -> None:
    async with endpoint() as port:
        pair = await opened(port)
        with closing(pair):
            line = await answer(pair, asked("localhost", "/status", "Host: attacker.example.org"))
    assert line.split()[1] in (b"400", b"421")


class FakeTransport(asyncio.Transport):
    """A connection of an address; remembers whether it was closed."""

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 1)})
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


class Door:
    """Connections with a clock that a test moves."""

    def __init__(self) -> None:
        self.ticks = Ticks()
        self.connections = StatusConnections(monotonic=self.ticks, seconds_max=30.0, idle_seconds_max=5.0)

    def come(self, address: str) -> tuple[FakeTransport, StatusConnection | None]:
        self.ticks.now += 0.001
        transport = FakeTransport(address)
        return transport, self.connections.admit(transport)


def test_one_address_has_a_limit_and_its_own_oldest_connection_is_closed_first() -> None:
    door = Door()
    other, _ = door.come("10.0.0.9")
    many = [door.come("10.0.0.1")[0] for _ in range(CONNECTIONS_OF_PEER_MAX + 3)]
    assert [one.aborted for one in many] == [True] * 3 + [False] * CONNECTIONS_OF_PEER_MAX
    assert not other.aborted


def test_a_connection_of_the_address_with_most_connections_is_closed() -> None:
    door = Door()
    few = [door.come("10.0.0.9")[0] for _ in range(3)]
    many = [door.come("127.0.0.1")[0] for _ in range(CONNECTIONS_MAX - 3)]
    assert len(door.connections) == CONNECTIONS_MAX
    _, held = door.come("10.0.0.8")
    assert held is not None
    assert (many[0].aborted, [one.aborted for one in few]) == (True, [False] * 3)


def test_a_connection_that_is_being_answered_is_never_closed_for_another() -> None:
    door = Door()
    first, held = door.come("127.0.0.1")
    assert held is not None
    door.connections.begin(held)
    rest = [door.come("127.0.0.1")[0] for _ in range(CONNECTIONS_MAX)]
    assert (first.aborted, rest[0].aborted, rest[1].aborted) == (False, True, False)
    door.connections.end(held)
    door.ticks.now += 4.9
    door.connections.expire()
    assert not first.aborted
    door.ticks.now += 0.2
    door.connections.expire()
    assert (first.aborted, len(door.connections)) == (True, 0)


def test_a_new_connection_is_refused_while_all_others_are_in_use() -> None:
    door = Door()
    for _ in range(CONNECTIONS_MAX):
        _, held = door.come("127.0.0.1")
        assert held is not None
        door.connections.begin(held)
    assert door.come("127.0.0.1")[1] is None
    assert len(door.connections) == CONNECTIONS_MAX
