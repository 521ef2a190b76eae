"""Agents of this tree and of another checkout, so that one run measures both in the same minutes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from landscape.processes import free_port
from landscape.programs import BIN, Agent, AgentSettings, agent
from landscape.whole import Landscape
from whence_common.runtime.pause import pause

_LOOK_SECONDS = 0.002
_ANSWER_SECONDS_MAX = 30.0
_ANSWER_BYTES_MAX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """One checkout's agent. Its compiled modules are kept by the benchmark, as the package ships compiled ones."""

    name: str
    program: Sequence[str | Path]


def trees(directory: Path, beside: Path | None) -> list[Tree]:
    """Give this tree, and the other checkout when there is one; `beside` is its folder or its environment's."""
    programs = {"this tree": BIN / "whence-agent"}
    if beside is not None:
        (program,) = [one for one in (beside / ".venv/bin/whence-agent", beside / "bin/whence-agent") if one.exists()]
        programs["beside"] = program.absolute()
    return [
        Tree(name=name, program=("env", "-u", "PYTHONDONTWRITEBYTECODE", f"PYTHONPYCACHEPREFIX={compiled}", program))
        for name, program in programs.items()
        for compiled in [directory / f"compiled-{name.replace(' ', '-')}"]
    ]


@dataclass(slots=True)
class Started:
    """A started agent, and the seconds from before its process was made until its status answered."""

    agent: Agent
    began: float
    status_seconds: float


@asynccontextmanager
async def started_agent(
    tree: Tree, directory: Path, logs: Path, settings: AgentSettings, *, name: str
) -> AsyncIterator[Started]:
    """Start a tree's agent. Entering takes until its status answered, whatever the answer is."""
    port, began = free_port(), time.perf_counter()
    answered = asyncio.create_task(_answered(port))
    try:
        async with agent(directory, logs, settings, name=name, program=tree.program, port=port) as running:
            yield Started(running, began, await answered - began)
    finally:
        answered.cancel()


async def _answered(port: int) -> float:
    """Ask for the status until it is answered with 200; give when."""
    async with asyncio.timeout(_ANSWER_SECONDS_MAX):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                if (await reader.read(_ANSWER_BYTES_MAX)).startswith(b"HTTP/1.1 200"):
                    return time.perf_counter()
                writer.close()
            except OSError:
                pass
            await pause(_LOOK_SECONDS)


class Starts:
    """Notes when containers start, by the engine's own events: looking often would take of the cores that are measured."""

    def __init__(self) -> None:
        self._at: dict[str, asyncio.Future[float]] = {}

    def of(self, name: str) -> asyncio.Future[float]:
        """Give what will be the time at which the container of this name starts next."""
        self._at[name] = asyncio.get_running_loop().create_future()
        return self._at[name]

    async def follow(self, scape: Landscape, following: asyncio.Event) -> None:
        """Read events until cancelled."""
        connector = aiohttp.UnixConnector(path=urlsplit(scape.engine).path)
        filters = json.dumps({"type": ["container"], "event": ["start"]})
        timeout = aiohttp.ClientTimeout(total=None)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.get("http://engine/events", params={"filters": filters}) as answer,
        ):
            following.set()
            async for line in answer.content:
                waiting = self._at.get(json.loads(line)["Actor"]["Attributes"].get("name", ""))
                if waiting is not None and not waiting.done():
                    waiting.set_result(time.perf_counter())


@asynccontextmanager
async def container_starts(scape: Landscape) -> AsyncIterator[Starts]:
    """Follow the engine's events while the context lasts."""
    starts, following = Starts(), asyncio.Event()
    reading = asyncio.create_task(starts.follow(scape, following))
    try:
        await following.wait()
        yield starts
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a process holds, in MB. PSS shares pages of libraries out among all who map them, this benchmark too."""

    rss: float
    pss: float
    anonymous: float

    @staticmethod
    def of(pid: int) -> Memory:
        rows = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
        kilobytes = {name: int(value.split()[0]) for name, _, value in (row.partition(":") for row in rows)}
        return Memory(rss=kilobytes["Rss"] / 1024, pss=kilobytes["Pss"] / 1024, anonymous=kilobytes["Anonymous"] / 1024)

    def __str__(self) -> str:
        return f"{self.rss:.1f} MB resident (RSS), PSS {self.pss:.1f} MB, anonymous {self.anonymous:.1f} MB"
