"""kill -9: what was acknowledged is there afterwards, whatever happened to the process."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from fakes.agent_client import AgentClient
from fakes.machine import Machine
from fakes.signing_authority import SigningAuthority
from landscape.endurance import repeated
from landscape.programs import Aggregator, aggregator

KILLS = repeated(sample=2, whole=20)


async def talk(client: AgentClient, machine: Machine, acknowledged: dict[str, int]) -> None:
    """Speak until the aggregator is gone, keeping what it acknowledged."""
    try:
        while True:
            status, answer = await client.say(machine)
            assert status in (200, 201)
            acknowledged[answer["digest"]] = answer["ledger_index"]
    except (aiohttp.ClientError, ConnectionError):
        return


@pytest.mark.endurance
async def test_nothing_acknowledged_is_lost_when_the_aggregator_is_killed_again_and_again(
    tmp_path: Path, authority: SigningAuthority
) -> None:
    pem = {"eu-central-1": authority.pem}
    machines = [Machine(authority, f"i-{number:017x}") for number in range(8)]
    acknowledged: dict[str, int] = {}
    for round_ in range(KILLS):
        async with aggregator(tmp_path, tmp_path, authority_pem=pem) as running, aiohttp.ClientSession() as session:
            client = AgentClient(session, running.url)
            for machine in machines:
                assert (await client.enrol(machine))[0] == 201
            talking = [asyncio.create_task(talk(client, machine, acknowledged)) for machine in machines]
            wanted = len(acknowledged) + 40
            while len(acknowledged) < wanted:
                await asyncio.wait(talking, timeout=0.01)
                assert not any(task.done() for task in talking), f"round {round_}"
            await running.process.kill()
            await asyncio.gather(*talking)
    async with aggregator(tmp_path, tmp_path, authority_pem=pem) as running:
        for digest, index in acknowledged.items():
            receipt = await running.get(f"/v1/receipts/{digest}")
            assert receipt["ledger_index"] == index
        assert (await running.get("/v1/summary"))["ledger_size"] >= len(acknowledged) + len(machines)


async def test_a_stopped_aggregator_exits_cleanly_and_starts_again(tmp_path: Path, authority: SigningAuthority) -> None:
    for _ in range(2):
        async with aggregator(tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}) as running:
            assert await running.get("/health") == {"health": True}
        assert running.process.process.returncode == 0


@pytest.mark.parametrize(
    "change, says",
    [
        ({"accounts": []}, "accounts must name at least one account"),
        ({"tokens_file": "/nonexistent"}, "tokens_file /nonexistent cannot be read"),
        ({"authorities_directory": "/nonexistent"}, "contains no REGION.pem"),
        ({"listen_address": "0.0.0.0"}, "not loopback"),
    ],
)
async def test_wrong_settings_end_the_start_with_78_and_a_reason(
    tmp_path: Path, authority: SigningAuthority, change: dict[str, object], says: str
) -> None:
    code, output = await serve(tmp_path, authority, change)
    assert (code, says in output) == (78, True), output


async def test_a_database_that_cannot_be_opened_ends_the_start_with_1(
    tmp_path: Path, authority: SigningAuthority
) -> None:
    code, output = await serve(tmp_path, authority, {"database": "sqlite:///nonexistent/x/y.db"})
    assert (code, "/nonexistent/x/y.db" in output) == (1, True), output
    code, output = await serve(tmp_path, authority, {"database": "postgresql://u:hunter2@127.0.0.1:1/x"})
    assert (code, "hunter2" in output) == (1, False)


async def serve(tmp_path: Path, authority: SigningAuthority, change: dict[str, object]) -> tuple[int, str]:
    """Start once with changed settings; give how it ended and what it said."""
    import json

    from landscape.programs import BIN

    async with aggregator(tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}) as running:
        document = json.loads(running.config.read_text(encoding="utf-8"))
    config = tmp_path / "changed.yaml"
    config.write_text(json.dumps({**document, **change}), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        BIN / "whence-aggregator", "serve", "--config", config,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_the_token_file_can_be_read_by_the_services_own_user_and_holds_no_token(
    tmp_path: Path, authority: SigningAuthority
) -> None:
    async with aggregator(tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}) as running:
        file = tmp_path / "aggregator" / "tokens"
        assert file.stat().st_mode & 0o777 == 0o644
        assert running.token not in file.read_text(encoding="ascii")


async def test_an_aggregator_runs_on_its_own_token_file_only(tmp_path: Path, authority: SigningAuthority) -> None:
    async with aggregator(tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}) as running:
        stranger = Aggregator(process=running.process, url=running.url, token="stranger", config=running.config)
        assert (await stranger.whence("instances"))[0] == 3
