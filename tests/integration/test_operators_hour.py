"""An operator's bad hour, with the programs: a stolen key, a lost file, a restored backup, a mistyped path."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from fakes.agent_client import AgentClient
from fakes.agent_world import World
from fakes.machine import Machine
from fakes.signing_authority import SigningAuthority
from landscape.processes import ended
from landscape.programs import BIN, Aggregator, aggregator
from whence_agent.adapters.aggregator import HttpAggregator
from whence_agent.ports_aggregator import AggregatorUnavailable
from whence_agent.report.receipts import ReceiptRefused, Receipts
from whence_common.digest import sha256_digest

PERIOD = ("--from", "2020-01-01", "--to", "2100-01-01")


@dataclass
class Hour:
    """One installation through the hour."""

    directory: Path
    authority: SigningAuthority
    machine: Machine

    @property
    def home(self) -> Path:
        return self.directory / "aggregator"

    async def command(self, *words: str, config: Path | None = None) -> tuple[int, str, str]:
        done = await ended(BIN / "whence-aggregator", *words, "--config", config or self.home / "aggregator.yaml")
        return done.code, done.out, done.err


@pytest.fixture
def hour(tmp_path: Path, authority: SigningAuthority) -> Hour:
    return Hour(tmp_path, authority, Machine(authority))


async def fetched(server: Aggregator, digest: str, place: Path) -> Path:
    code, output = await server.whence("receipt", digest, "--out", str(place))
    assert code == 0, output
    return Path(output.strip())


async def test_a_stolen_key_is_revoked_announced_and_everything_is_issued_anew(hour: Hour, tmp_path: Path) -> None:
    """An agent without `aggregator_log_keys` learns the new key by enrolling again."""
    pem = {"eu-central-1": hour.authority.pem}
    receipts = World(tmp_path).receipts()
    async with (
        aggregator(hour.directory, hour.directory, authority_pem=pem) as server,
        aiohttp.ClientSession() as session,
    ):
        client = AgentClient(session, server.url)
        receipts.learn((await client.enrol(hour.machine))[1]["log_keys"])
        agent = HttpAggregator(session=session, url=server.url, ca_file=None, log_size=lambda: receipts.seen_size)
        content = hour.machine.statement()
        receipts.check(await agent.submit(content), content)
        digest = sha256_digest(content)
        before = await fetched(server, digest, hour.directory / "before")
        stolen = (await hour.command("ledger", "keys"))[1].strip()
        code, keys, said = await hour.command(
            "ledger", "revoke-key", stolen.split("+")[1], "--reason", "a stolen laptop"
        )
        assert (code, "restart" in said) == (0, True), said
        (hour.directory / "log.keys").write_text(keys)
        assert f"revoked {stolen} from " in keys
        status, problem = await client.say(hour.machine)
        assert (status, problem["code"]) == (503, "log-key-revoked")
    async with (
        aggregator(hour.directory, hour.directory, authority_pem=pem) as server,
        aiohttp.ClientSession() as session,
    ):
        agent = HttpAggregator(session=session, url=server.url, ca_file=None, log_size=lambda: receipts.seen_size)
        content = hour.machine.statement()
        with pytest.raises(AggregatorUnavailable) as caught:
            receipts.check(await agent.submit(content), content)
        assert caught.value.code == "receipt-invalid"  # upon which an agent enrols again
        receipts.learn((await AgentClient(session, server.url).enrol(hour.machine))[1]["log_keys"])
        receipts.check(await agent.submit(content), content)
        assert not receipts.take_findings(), "the log goes on under its name"
        arguments = ("--log-key", str(hour.directory / "log.keys"))
        code, said = await server.whence("verify", str(before), *arguments)
        assert (code, "was stolen, and is revoked" in said, "fetch the receipt or bundle again" in said) == (
            1,
            True,
            True,
        )
        again = await fetched(server, digest, hour.directory / "again")
        code, said = await server.whence("verify", str(again), *arguments)
        assert code == 0, said
        file = hour.directory / "all.bundle"
        assert (await server.whence("bundle", *PERIOD, "--out", str(file)))[0] == 0
        authorities = ("--authorities", str(hour.home / "authorities"))
        code, said = await server.whence("verify", str(file), *arguments, *authorities)
        assert (code, f"stolen: {stolen}" in said) == (0, True), said
        async with session.get(
            server.url + "/v1/log/keys", headers={"Authorization": f"Bearer {server.token}"}
        ) as answer:
            assert await answer.text() == keys
    assert "clean" in (await hour.command("ledger", "check"))[1]


async def test_a_restored_backup_is_refused_and_goes_on_under_a_new_name(hour: Hour, tmp_path: Path) -> None:
    """Whoever forces the start of the older database convinces no agent that saw more."""
    pem = {"eu-central-1": hour.authority.pem}
    receipts = World(tmp_path).receipts()
    async with (
        aggregator(hour.directory, hour.directory, authority_pem=pem) as server,
        aiohttp.ClientSession() as session,
    ):
        receipts.learn((await AgentClient(session, server.url).enrol(hour.machine))[1]["log_keys"])
        agent = HttpAggregator(session=session, url=server.url, ca_file=None, log_size=lambda: receipts.seen_size)
        code, said, _ = await hour.command("backup", str(hour.directory / "saved"))
        assert (code, "the saved log has" in said) == (0, True), said
        for _ in range(5):
            content = hour.machine.statement()
            receipts.check(await agent.submit(content), content)
    for file in hour.home.glob("ledger.db*"):
        file.unlink()
    shutil.copy(hour.directory / "saved" / "ledger.db", hour.home / "ledger.db")
    code, _, said = await hour.command("serve")
    assert (code, "the database is older" in said, "ledger continue" in said) == (1, True, True), said
    (hour.home / "log.checkpoint").unlink()
    code, _, said = await hour.command("serve")
    assert (code, "accept-checkpoint" in said) == (1, True), said
    assert (await hour.command("ledger", "accept-checkpoint", "--reason", "no time"))[0] == 0
    assert await forced(hour, receipts) == {"log-shorter", "log-forked"}
    code, key, said = await hour.command("ledger", "continue", "--origin", "whence.example.org/2", "--reason", "Monday")
    assert (code, "log_origin: whence.example.org/2" in said) == (0, True), said
    async with (
        aggregator(hour.directory, hour.directory, authority_pem=pem, log_origin="whence.example.org/2") as server,
        aiohttp.ClientSession() as session,
    ):
        agent = HttpAggregator(session=session, url=server.url, ca_file=None, log_size=lambda: receipts.seen_size)
        enrolled = (await AgentClient(session, server.url).enrol(hour.machine))[1]
        assert enrolled["log_keys"] == [key.strip()]
        receipts.learn(enrolled["log_keys"])
        receipts.take_findings()
        content = hour.machine.statement()
        receipts.check(await agent.submit(content), content)
        assert receipts.take_findings(), "the agent states everything again"
    assert "clean" in (await hour.command("ledger", "check"))[1]


async def forced(hour: Hour, receipts: Receipts) -> set[str]:
    """Serve the older database under its old name; give what the agent refuses its receipts with."""
    codes = set()
    async with (
        aggregator(hour.directory, hour.directory, authority_pem={"eu-central-1": hour.authority.pem}) as server,
        aiohttp.ClientSession() as session,
    ):
        agent = HttpAggregator(session=session, url=server.url, ca_file=None, log_size=lambda: receipts.seen_size)
        for _ in range(9):
            content = hour.machine.statement()
            with pytest.raises(ReceiptRefused) as caught:
                receipts.check(await agent.submit(content), content)
            codes.add(caught.value.code)
    return codes


@pytest.mark.parametrize("words", [
    ("ledger", "check"), ("ledger", "keys"), ("ledger", "rebuild"), ("ledger", "add-key"),
    ("ledger", "revoke-key", "00000000", "--reason", "x"), ("ledger", "continue", "--origin", "x", "--reason", "x"),
    ("ledger", "accept-checkpoint", "--reason", "x"), ("backup", "saved"),
], ids=" ".join)  # fmt: skip
async def test_no_command_makes_anything_on_a_mistyped_path(tmp_path: Path, words: tuple[str, ...]) -> None:
    state, config = tmp_path / "state", tmp_path / "aggregator.yaml"
    state.mkdir()
    settings = {"audience": "https://whence.example.org", "accounts": ["123456789012"]}
    files = {name: str(state / name) for name in ("log_key_file", "checkpoint_file", "heartbeat_secret_file")}
    config.write_text(json.dumps({**settings, **files, "database": f"sqlite://{state}/leger.db"}), encoding="utf-8")
    words = tuple(str(tmp_path / word) if word == "saved" else word for word in words)
    done = await ended(BIN / "whence-aggregator", *words, "--config", config)
    assert done.code in (1, 78), done.err
    assert "nothing was created" in done.err
    assert list(state.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aggregator.yaml", "state"]
