"""What an auditor does, with the programs: fetch, verify offline, witness, check, rebuild; over TLS with an authority of our own."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from fakes.agent_client import AgentClient
from fakes.agent_world import World
from fakes.machine import Machine
from fakes.misbehaving import Answer, misbehaving
from fakes.signing_authority import SigningAuthority
from landscape.certificates import Certificates, loopback_certificates
from landscape.processes import Process, ended, started
from landscape.programs import BIN, Aggregator, aggregator
from whence_agent.adapters.aggregator import HttpAggregator
from whence_agent.ports_aggregator import AggregatorUnavailable
from whence_agent.report.delivery import PERMANENT_CODES
from whence_agent.report.receipts import ReceiptUnwitnessed, Trusted
from whence_aggregator.adapters.witness import HttpWitness
from whence_common.errors import RoadError
from whence_common.log_policy import parse_keys
from whence_common.note import WITNESS, Signer, VerifierKey
from whence_common.runtime.pause import pause

PERIOD = ("--from", "2020-01-01", "--to", "2100-01-01")


@dataclass
class Audited:
    server: Aggregator
    directory: Path
    digests: list[str]
    keys: Path
    authorities: Path

    async def verify(self, *arguments: str | Path) -> tuple[int, str]:
        return await self.server.whence(
            "verify", *map(str, arguments), "--log-key", str(self.keys), "--authorities", str(self.authorities)
        )

    async def ledger(self, action: str) -> tuple[int, str]:
        done = await ended(BIN / "whence-aggregator", "ledger", action, "--config", self.server.config, merged=True)
        return done.code, done.out


@pytest.fixture(scope="module")
async def audited(authority: SigningAuthority, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Audited]:
    directory = tmp_path_factory.mktemp("audited")
    async with (
        aggregator(directory, directory, authority_pem={"eu-central-1": authority.pem}) as server,
        aiohttp.ClientSession() as session,
    ):
        client, digests = AgentClient(session, server.url), []
        for number in range(3):
            machine = Machine(authority, f"i-{number:017x}")
            assert (await client.enrol(machine))[0] == 201
            for _ in range(3):
                digests.append((await client.say(machine))[1]["digest"])
        keys = directory / "log.keys"
        headers = {"Authorization": f"Bearer {server.token}"}
        async with session.get(server.url + "/v1/log/keys", headers=headers) as answer:
            keys.write_text(await answer.text(), encoding="ascii")
        yield Audited(server, directory, digests, keys, directory / "aggregator" / "authorities")


async def test_a_receipt_is_fetched_and_verified(audited: Audited) -> None:
    code, output = await audited.server.whence("receipt", audited.digests[0], "--out", str(audited.directory / "r"))
    assert code == 0
    code, said = await audited.verify(output.strip())
    assert (code, "of whence.example.org" in said) == (0, True), said


async def test_a_receipt_for_other_bytes_is_not_verified(audited: Audited) -> None:
    place = audited.directory / "r2"
    _, output = await audited.server.whence("receipt", audited.digests[1], "--out", str(place))
    data = next(place.glob("*.json"))
    data.write_bytes(data.read_bytes() + b" ")
    code, said = await audited.verify(output.strip())
    assert (code, "does not lead from entry" in said) == (1, True), said


async def test_a_bundle_is_fetched_verified_and_read(audited: Audited) -> None:
    file = audited.directory / "all.bundle"
    code, said = await audited.server.whence("bundle", *PERIOD, "--account", "123456789012", "--out", str(file))
    assert code == 0, said
    code, said = await audited.verify(file)
    assert code == 0, said
    assert "every signature, proof and certificate is valid" in said
    assert "Statements (9)" in said
    assert file.stat().st_mode & 0o777 == 0o600


async def test_a_bundle_that_was_changed_is_not_verified_and_the_entry_is_named(audited: Audited) -> None:
    file = audited.directory / "bent.bundle"
    await audited.server.whence("bundle", *PERIOD, "--out", str(file))
    lines = file.read_bytes().splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if b"payloadType" in line)
    index = json.loads(lines[at])["index"]
    file.write_bytes(b"".join([*lines[:at], lines[at].replace(b"eyJ", b"eyK", 1), *lines[at + 1 :]]))
    code, said = await audited.verify(file)
    assert (code, f"entry {index}:" in said) == (1, True), said


@pytest.mark.parametrize("since", ["yesterday", "2026-02-30", "0001-01-01T00:00:00+23:59"])
async def test_a_period_that_begins_at_no_time_is_refused(audited: Audited, since: str, tmp_path: Path) -> None:
    out = str(tmp_path / "bundle")
    code, said = await audited.server.whence("bundle", "--from", since, "--to", "2100-01-01", "--out", out)
    assert (code, f"{since!r} is not a time" in said, "Traceback" in said) == (2, True, False)


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"c2sp.org/tlog-proof@v1\n", b"{}\n" * 5, b"[" * 100_000])
async def test_what_is_no_evidence_is_refused_with_a_reason(audited: Audited, content: bytes) -> None:
    file = audited.directory / "nothing.tlog-proof"
    file.write_bytes(content)
    (audited.directory / "nothing.json").write_bytes(b"{}")
    code, said = await audited.verify(file)
    assert (code, "is not verified" in said, "Traceback" in said) == (1, True, False), said


@pytest.mark.root
async def test_verifying_needs_a_key_and_no_network(audited: Audited) -> None:
    file = audited.directory / "offline.bundle"
    await audited.server.whence("bundle", *PERIOD, "--out", str(file))
    environment = {**os.environ, "WHENCE_URL": "http://127.0.0.1:1", "COLUMNS": "140"}
    command = [
        "unshare", "--net", str(BIN / "whence"), "verify", str(file), "--log-key", str(audited.keys),
        "--authorities", str(audited.authorities),
    ]  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    done = subprocess.run([BIN / "whence", "verify", file], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "--log-key" in done.stderr) == (2, True)


async def test_the_ledger_is_checked_while_the_aggregator_runs(audited: Audited) -> None:
    code, said = await audited.ledger("check")
    assert (code, said.strip().endswith("clean")) == (0, True), said


async def test_the_ledger_is_rebuilt_and_the_answers_are_the_same(audited: Audited) -> None:
    before = (await audited.server.get("/v1/instances"))["instances"]
    code, said = await audited.ledger("rebuild")
    assert (code, "were rebuilt" in said) == (0, True), said
    assert (await audited.server.get("/v1/instances"))["instances"] == before
    assert (await audited.ledger("check"))[0] == 0


async def test_the_keys_are_printed_and_a_new_one_signs_first(audited: Audited) -> None:
    _, before = await audited.ledger("keys")
    assert before.strip() == audited.keys.read_text().strip()
    code, after = await audited.ledger("add-key")
    assert (code, len([line for line in after.splitlines() if line.startswith("whence.example.org+")])) == (0, 2)
    assert (audited.directory / "aggregator" / "log.key").stat().st_mode & 0o777 == 0o600


async def test_tiles_and_checkpoint_are_served_as_c2sp_says(audited: Audited) -> None:
    async with audited.server.session() as session:

        async def get(path: str) -> tuple[int, bytes, str]:
            async with session.get(audited.server.url + "/v1/log/" + path) as answer:
                return answer.status, await answer.read(), answer.headers.get("Cache-Control", "")

        status, checkpoint, cached = await get("checkpoint")
        size = int(checkpoint.split(b"\n")[1])
        assert (status, cached) == (200, "no-cache")
        status, tile, cached = await get(f"tile/0/000.p/{size}")
        assert (status, len(tile), "immutable" in cached) == (200, size * 32, True)
        assert (await get(f"tile/entries/000.p/{size}"))[0] == 200
        for path in (
            "tile/0/000",
            "tile/0/001.p/1",
            "tile/64/000",
            "tile/0/0",
            "tile/0/000.p/256",
            "tile/0/000.p/0",
            "tile/x",
            "tile/entries/999",
        ):
            assert (await get(path))[0] == 404, path


@pytest.fixture(scope="module")
async def witness(audited: Audited) -> AsyncIterator[tuple[Process, str, str, Path]]:
    async with witnessing(audited.directory / "witness", audited.keys) as running:
        yield running


@asynccontextmanager
async def witnessing(home: Path, log_keys: Path) -> AsyncIterator[tuple[Process, str, str, Path]]:
    home.mkdir()
    config, port = home / "witness.yaml", home / "port"
    keys = log_keys.read_text(encoding="ascii").split()
    config.write_text(
        json.dumps(
            {
                "name": "witness.example.org",
                "log_keys": keys,
                "state_directory": str(home),
                "listen_port": 0,
                "drain_seconds": 0,
            }
        )
    )

    async def ready() -> bool:
        return port.exists()

    command = [BIN / "whence-aggregator", "witness", "--config", config, "--port-file", port]
    async with started("witness", command, logs=home, ready=ready) as process, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{port.read_text().strip()}"
        async with session.get(url + "/key") as answer:
            yield process, url, (await answer.text()).strip(), home


async def test_a_witness_cosigns_and_its_cosignature_is_in_checkpoint_and_receipts(
    witness: tuple[Process, str, str, Path], authority: SigningAuthority, tmp_path: Path, audited: Audited
) -> None:
    _, url, key, _ = witness
    home = tmp_path / "aggregator"
    home.mkdir()
    (home / "log.key").write_bytes((audited.directory / "aggregator" / "log.key").read_bytes())
    watched = [{"url": url, "key": key}]
    pem = {"eu-central-1": authority.pem}
    async with (
        aggregator(tmp_path, tmp_path, authority_pem=pem, witnesses=watched, checkpoint_seconds=1) as server,
        aiohttp.ClientSession() as session,
    ):
        client, machine = AgentClient(session, server.url), Machine(authority)
        await client.enrol(machine)
        digest = (await client.say(machine))[1]["digest"]
        async with asyncio.timeout(20):
            while "witness.example.org" not in (await server.get(f"/v1/receipts/{digest}")).get("receipt", ""):
                await asyncio.wait([asyncio.ensure_future(session.get(server.url + "/health"))])
        _, output = await server.whence("receipt", digest, "--out", str(tmp_path))
        arguments = ("verify", output.strip(), "--log-key", str(audited.keys), "--witness-key", key)
        code, said = await server.whence(*arguments)
        assert (code, "cosigned by witness.example.org" in said) == (0, True), said
        assert (await server.whence(*arguments[:-2], "--witness-key", key, "--witnesses", "2"))[0] == 2
        code, said = await server.whence(*arguments[:-2], "--witness-key", audited.keys.read_text().split()[0])
        assert (code, "log's own key" in said) == (2, True), said
        async with session.get(server.url + "/metrics") as answer:
            assert "whence_unwitnessed_age_seconds" in await answer.text()


async def test_an_agent_keeps_a_statement_until_the_witness_has_cosigned_its_receipt(
    authority: SigningAuthority, tmp_path: Path, audited: Audited
) -> None:
    async with witnessing(tmp_path / "witness", audited.keys) as (_, url, key, _):
        await deliver_beside_a_witness(audited, tmp_path, authority, url, key)


async def deliver_beside_a_witness(
    audited: Audited, tmp_path: Path, authority: SigningAuthority, url: str, key: str
) -> None:
    (tmp_path / "aggregator").mkdir()
    (tmp_path / "aggregator" / "log.key").write_bytes((audited.directory / "aggregator" / "log.key").read_bytes())
    world = World(tmp_path)
    trusted = Trusted(
        log_keys=parse_keys(audited.keys.read_text()).keys, witness_keys=[VerifierKey.parse(key)], witnesses_least=1
    )
    receipts = world.receipts(trusted)
    pem = {"eu-central-1": authority.pem}
    watched = [{"url": url, "key": key}]
    async with (
        aggregator(tmp_path, tmp_path, authority_pem=pem, witnesses=watched, checkpoint_seconds=1) as server,
        aiohttp.ClientSession() as session,
    ):
        machine, client = Machine(authority), AgentClient(session, server.url)
        await client.enrol(machine)
        agent = HttpAggregator(session=session, url=server.url, ca_file=None, log_size=lambda: receipts.seen_size)
        refused = 0
        for _ in range(2):  # the second must continue what the first showed
            content = machine.statement()
            async with asyncio.timeout(30):
                while True:
                    try:
                        receipts.check(await agent.submit(content), content)
                        break
                    except ReceiptUnwitnessed:
                        refused += 1
                        await pause(0.2)
        assert refused >= 2
        assert (receipts.seen_size or 0) > 3
        status, answer = await client.post("/v1/statements", machine.statement(), **{"Whence-Log-Size": "1000000"})
        assert (status, answer["consistency"]) == (201, None)
        status, answer = await client.post("/v1/statements", machine.statement(), **{"Whence-Log-Size": "-1"})
        assert (status, answer["code"]) == (400, "log-size-malformed")


async def test_a_witness_does_not_watch_a_log_with_its_own_key(audited: Audited, tmp_path: Path) -> None:
    seed = (audited.directory / "aggregator" / "log.key").read_text().splitlines()[0].split("+", 4)[4]
    own = Signer("whence.example.org", base64.b64decode(seed)[1:])
    witness = Signer("witness.example.org", base64.b64decode(seed)[1:], WITNESS)
    encoded = base64.b64encode(bytes([WITNESS]) + base64.b64decode(seed)[1:]).decode()
    line = f"PRIVATE+KEY+witness.example.org+{witness.verifier.id.hex()}+{encoded}\n"
    (tmp_path / "witness.key").write_text(line)
    config = tmp_path / "witness.yaml"
    document = {"name": "witness.example.org", "log_keys": [str(own.verifier)], "state_directory": str(tmp_path)}
    config.write_text(json.dumps(document))
    done = await ended(BIN / "whence-aggregator", "witness", "--config", config)
    assert (done.code, "a log cannot be its own witness" in done.err) == (78, True), done.err


async def test_a_witness_answers_what_it_does_not_cosign_with_the_protocols_status(
    witness: tuple[Process, str, str, Path],
) -> None:
    _, url, _, _ = witness
    async with aiohttp.ClientSession() as session:
        for body, status in ((b"", 400), (b"x" * 100_000, 413), (b"old 0\n\nother\n0\nAAAA\n\n", 400)):
            async with session.post(url + "/add-checkpoint", data=body) as answer:
                assert answer.status == status


@pytest.mark.parametrize("size", ["²\n", "-1\n", "1e3\n", "", "9" * 19 + "\n"])
async def test_a_witness_that_answers_nonsense_cosigns_nothing_and_breaks_nothing(size: str) -> None:
    key = Signer("witness.example.org", b"w" * 32, WITNESS).verifier
    conflict = Answer(status=409, headers={"Content-Type": "text/x.tlog.size"}, body=size.encode())
    async with misbehaving(conflict) as place, aiohttp.ClientSession() as session:
        with pytest.raises(RoadError) as caught:
            await HttpWitness(session=session, url=f"http://{place}", key=key).add_checkpoint([], "note\n")
        assert caught.value.code == "witness-refused"


@pytest.fixture(scope="module")
async def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return await loopback_certificates(tmp_path_factory.mktemp("tls"))


async def test_agents_reach_an_aggregator_over_tls_by_an_additional_authority_only(
    certificates: Certificates, authority: SigningAuthority, tmp_path: Path
) -> None:
    certificate, key = str(certificates.certificate), str(certificates.key)
    async with (
        aggregator(
            tmp_path,
            tmp_path,
            authority_pem={"eu-central-1": authority.pem},
            tls_certificate_file=certificate,
            tls_key_file=key,
        ) as server,
        aiohttp.ClientSession() as session,
    ):
        url = server.url.replace("http:", "https:")
        trusted = HttpAggregator(session=session, url=url, ca_file=str(certificates.authority))
        assert (await trusted.challenge()).audience == "https://whence.example.org"
        with pytest.raises(AggregatorUnavailable):
            await HttpAggregator(session=session, url=url, ca_file=None).challenge()
        with pytest.raises(AggregatorUnavailable):
            await HttpAggregator(session=session, url=server.url, ca_file=None).challenge()


async def test_the_same_request_id_stands_in_both_programs_logs(
    authority: SigningAuthority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        aggregator(tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}) as server,
        aiohttp.ClientSession() as session,
    ):
        client, machine = AgentClient(session, server.url), Machine(authority)
        await client.enrol(machine)
        agent = HttpAggregator(session=session, url=server.url, ca_file=None)
        with caplog.at_level("INFO"):
            await agent.submit(machine.statement())
            with pytest.raises(AggregatorUnavailable) as caught:
                await agent.submit(b"{}")
        assert caught.value.code in PERMANENT_CODES
        ids = [record.whence_fields["request_id"] for record in caplog.records if hasattr(record, "whence_fields")]
        log = server.process.log.read_text(encoding="utf-8")
        assert len(ids) == 2
        assert all(one in log for one in ids)


async def test_a_fleet_that_says_too_much_is_told_when_to_come_again(
    authority: SigningAuthority, tmp_path: Path
) -> None:
    limits = {"statements_per_instance": 0.5}
    async with (
        aggregator(tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}, limits=limits) as server,
        aiohttp.ClientSession() as session,
    ):
        client, machine = AgentClient(session, server.url), Machine(authority)
        await client.enrol(machine)
        answers = [await client.say(machine) for _ in range(12)]
        assert [status for status, _ in answers] == [201] * 10 + [429] * 2
        async with session.post(server.url + "/v1/statements", data=machine.statement()) as answer:
            assert int(answer.headers["Retry-After"]) >= 1


async def test_an_aggregator_whose_database_is_gone_and_whose_checkpoint_is_there_does_not_start(
    authority: SigningAuthority, tmp_path: Path
) -> None:
    pem = {"eu-central-1": authority.pem}
    async with aggregator(tmp_path, tmp_path, authority_pem=pem) as server, aiohttp.ClientSession() as session:
        client, machine = AgentClient(session, server.url), Machine(authority)
        await client.enrol(machine)
        await client.say(machine)
    for file in (tmp_path / "aggregator").glob("ledger.db*"):
        file.unlink()
    done = await ended(BIN / "whence-aggregator", "serve", "--config", server.config, seconds_max=30)
    assert (done.code, "nothing was created" in done.err) == (1, True), done.err
    assert not list((tmp_path / "aggregator").glob("ledger.db*"))


async def test_a_command_that_finds_no_state_directory_names_it(tmp_path: Path) -> None:
    state, config = tmp_path / "elsewhere", tmp_path / "aggregator.yaml"
    settings = {"audience": "https://whence.example.org", "accounts": ["123456789012"]}
    config.write_text(json.dumps({**settings, "log_key_file": str(state / "log.key")}), encoding="utf-8")
    done = await ended(BIN / "whence-aggregator", "ledger", "keys", "--config", config, seconds_max=30)
    assert done.code == 78
    assert f"log_key_file {state}/log.key does not exist" in done.err
    assert "nothing was created" in done.err
    assert not state.exists()
