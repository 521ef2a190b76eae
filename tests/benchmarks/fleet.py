"""A fleet of agents with real signatures against a real aggregator: booting, beating, an outage, and the herd after it.

Every statement that was acknowledged is verified by its receipt, and at the end the ledger is checked.
BENCH_FLEET_AGENTS and BENCH_FLEET_SECONDS set how many boot within which time.
"""

from __future__ import annotations

import asyncio
import base64
import os
import random
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from fakes.machine import Machine
from fakes.signing_authority import SigningAuthority
from landscape.programs import BIN, Aggregator, aggregator
from whence_common.backoff import Backoff
from whence_common.heartbeat import Heartbeat, mac
from whence_common.log_policy import Policy
from whence_common.note import VerifierKey
from whence_common.receipt import Receipt
from whence_common.runtime.pause import pause

_AGENTS = int(os.environ.get("BENCH_FLEET_AGENTS", "500"))
_SECONDS = float(os.environ.get("BENCH_FLEET_SECONDS", "10"))
_BEATS_SECONDS = 5.0
_LIMITS = {
    "challenges_per_address": 1e6,
    "enrolments_per_account": 1e6,
    "statements_per_account": 1e6,
    "enrolments_per_instance": 1e6,
}


@dataclass
class Agent:
    """One simulated agent: as patient and as stubborn as a real one."""

    machine: Machine
    fleet: Fleet
    heartbeat_key: bytes = b""
    beats: int = 0
    backoff: Backoff = field(
        default_factory=lambda: Backoff(first_seconds=0.2, longest_seconds=5.0, random=random.random)
    )

    async def boot(self) -> None:
        challenge = await self._post("/v1/challenges", b"{}")
        self.machine.launch_now()
        request = self.machine.request(challenge["challenge"], challenge["audience"])
        answer = await self._post("/v1/enrolments", msgspec.json.encode(request))
        self.heartbeat_key = base64.b64decode(answer["heartbeat_key"])
        await self.say()

    async def say(self) -> None:
        """State something; what is acknowledged must be proved."""
        content = self.machine.statement()
        answer = await self._post("/v1/statements", content)
        Receipt.parse(answer["receipt"].encode()).check(content, self.fleet.policy)
        self.fleet.acknowledged[answer["digest"]] = answer["ledger_index"]

    async def beat(self) -> None:
        self.beats += 1
        body = Heartbeat(
            instance_id=self.machine.instance_id, enrolment=1, counter=self.beats, sequence=1,
            state_digest="sha256:" + "0" * 64, sent_at=datetime.now(UTC),
        ).to_wire()  # fmt: skip
        await self._post("/v1/heartbeats", body, {"Whence-MAC": mac(self.heartbeat_key, body)})

    async def _post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> Any:
        attempt = 0
        while True:
            attempt += 1
            began = time.perf_counter()
            try:
                async with self.fleet.session.post(self.fleet.url + path, data=body, headers=headers) as answer:
                    document = await answer.json(content_type=None)
                    if answer.status < 300:
                        self.fleet.taken_ms.append((time.perf_counter() - began) * 1e3)
                        return document
                    if document["code"] == "heartbeat-behind":
                        return document  # it was taken, and its answer was lost
                    assert answer.status in (429, 503), document
                    after = float(answer.headers.get("Retry-After", 1))
                    self.fleet.told_to_wait += 1
            except (aiohttp.ClientError, TimeoutError):
                after = 0.0
                self.fleet.unreachable += 1
            await pause(self.backoff.seconds(attempt, at_least_seconds=after))


@dataclass
class Fleet:
    session: aiohttp.ClientSession
    url: str
    policy: Policy
    acknowledged: dict[str, int] = field(default_factory=dict)
    taken_ms: list[float] = field(default_factory=list)
    told_to_wait: int = 0
    unreachable: int = 0

    def said(self, what: str, began: float) -> None:
        """Print what happened since, and begin to count again."""
        seconds = time.monotonic() - began
        p99 = statistics.quantiles(self.taken_ms, n=100)[98] if len(self.taken_ms) > 100 else 0.0
        print(
            f"{what}: {seconds:.1f} s, {len(self.taken_ms):,} calls ({len(self.taken_ms) / seconds:,.0f} a second), p99 {p99:.0f} ms, "
            f"{self.told_to_wait} told to wait, {self.unreachable} unreachable; {len(self.acknowledged):,} receipts verified",
            flush=True,
        )
        self.taken_ms, self.told_to_wait, self.unreachable = [], 0, 0


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Boot a fleet, let it beat, take the aggregator away and give it back."""
    authority = SigningAuthority.make()
    pem = {"eu-central-1": authority.pem}
    connector = aiohttp.TCPConnector(limit=256)
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        async with aggregator(directory, directory, authority_pem=pem, limits=_LIMITS) as server:
            fleet = Fleet(session, server.url, Policy(log_keys=[await _log_key(server)]))
            agents = [Agent(Machine(authority, f"i-{number:017x}"), fleet) for number in range(_AGENTS)]
            print(f"{_AGENTS} agents boot within {_SECONDS:g} s", flush=True)
            began = time.monotonic()
            await asyncio.gather(*(_later(one.boot, random.uniform(0, _SECONDS)) for one in agents))
            fleet.said("booted", began)
            began = time.monotonic()
            await asyncio.gather(
                *(_later(one.beat, random.uniform(0, _BEATS_SECONDS)) for one in agents for _ in range(2))
            )
            fleet.said("beat", began)
            port = int(server.url.rpartition(":")[2])
            await server.process.kill()
        herd = [asyncio.create_task(one.say()) for one in agents]
        await pause(2.0)
        began = time.monotonic()
        async with aggregator(directory, directory, authority_pem=pem, limits=_LIMITS, port=port) as server:
            await asyncio.gather(*herd)
            fleet.said("the herd after an outage", began)
            rss = _rss(server.process.process.pid)
        check = [str(BIN / "whence-aggregator"), "ledger", "check", "--config", str(server.config)]
        done = await asyncio.to_thread(lambda: subprocess.run(check, capture_output=True, text=True))
        print(f"memory of the aggregator: {rss:.0f} MB; ledger check: {done.stdout.strip()}")
        assert done.returncode == 0, done.stdout
        await _all_there(directory, pem, fleet)


async def _all_there(directory: Path, pem: dict[str, bytes], fleet: Fleet) -> None:
    async with aggregator(directory, directory, authority_pem=pem) as server:
        for digest, index in random.sample(sorted(fleet.acknowledged.items()), min(200, len(fleet.acknowledged))):
            assert (await server.get(f"/v1/receipts/{digest}"))["ledger_index"] == index
        assert (await server.get("/v1/summary"))["ledger_size"] > max(fleet.acknowledged.values())


async def _later(work: Any, seconds: float) -> None:
    await pause(seconds)
    await work()


async def _log_key(server: Aggregator) -> VerifierKey:
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {server.token}"}) as session,
        session.get(server.url + "/v1/log/keys") as answer,
    ):
        return VerifierKey.parse((await answer.text()).splitlines()[0])


def _rss(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024
