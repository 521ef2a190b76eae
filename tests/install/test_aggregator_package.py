"""The aggregator's Debian package: its three units booted by real systemd, one of them killed, and everything still there."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fakes.agent_client import AgentClient
from fakes.machine import Machine
from fakes.signing_authority import SigningAuthority
from landscape.listening import documented, listening
from landscape.processes import Process, answers, booting, free_port, run, service_of, started
from landscape.whole import ROOT, Landscape
from whence_aggregator.accounts.steps.table import KINDS
from whence_common.log_policy import Policy
from whence_common.note import VerifierKey
from whence_common.receipt import Receipt
from whence_common.runtime.pause import pause

_BOOT_SECONDS_MAX = 120.0
_PORTS = {service: free_port() for service in ("aggregator", "registry", "witness")}
_COMMAND = ("/usr/bin/whence-aggregator", "serve")
_DOCUMENTED = {"aggregator": ("serve", "7381"), "registry": ("registry", "7382"), "witness": ("witness", "7383")}
"""The command of each service, and its port in systemd/README.md."""
_STATE = "var/lib/private/whence-aggregator"
pytestmark = pytest.mark.timeout(900)
"""The packages are built and a root made first: both download."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A booted machine that runs the services."""

    root: Path
    token: str
    process: Process | None = None

    @property
    def booted(self) -> Process:
        assert self.process is not None
        return self.process

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{_PORTS[service]}"

    async def listens(self, service: str) -> bool:
        return await answers(_PORTS[service])

    async def get(self, service: str, path: str) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {self.token}"}
        async with aiohttp.ClientSession(headers=headers) as session, session.get(self.url(service) + path) as answer:
            return answer.status, await answer.text()

    async def command(self, *words: str) -> str:
        """Run an installed command as a person on that machine would."""
        environment = {"WHENCE_URL": self.url("aggregator"), "WHENCE_TOKEN": self.token}
        return await run("chroot", self.root, *words, environment=environment)


async def test_what_was_said_is_kept_when_a_service_is_killed_and_when_the_machine_is_booted_again(
    root: Path, scape: Landscape, authority: SigningAuthority
) -> None:
    machine = Machine(authority)
    token = await configured(root, scape, authority)
    async with booted(root, token, scape.logs, "aggregator", "registry") as installed:
        accepted = await said(installed, machine)
        before = service_of(installed.booted, *_COMMAND)
        assert before is not None
        os.kill(before, signal.SIGKILL)
        async with asyncio.timeout(60):
            while service_of(installed.booted, *_COMMAND) in (None, before) or not await installed.listens(
                "aggregator"
            ):
                await pause(0.2)
        listed = json.loads(await installed.command("/usr/bin/whence", "instances", "--json"))
        assert [one["instance_id"] for one in listed["instances"]] == [machine.instance_id]
        assert (await installed.get("registry", "/v2/"))[0] == 200

    assert (root / _STATE).stat().st_mode & 0o777 == 0o700
    assert "clean" in await operator(root, "ledger", "check")
    await operator(root, "ledger", "add-key")
    await watched(root, await operator(root, "ledger", "keys"))
    async with booted(root, token, scape.logs, "aggregator", "registry", "witness") as installed:
        for service, (command, port) in _DOCUMENTED.items():
            process = service_of(installed.booted, "/usr/bin/whence-aggregator", command)
            assert process is not None
            expected = {one.replace(port, str(_PORTS[service])) for one in documented()[f"whence-{service}.service"]}
            assert listening(process) == expected, service
        assert (await installed.get("witness", "/key"))[0] == 200
        receipt = json.loads((await installed.get("aggregator", f"/v1/receipts/{accepted['digest']}"))[1])
        assert receipt["ledger_index"] == accepted["ledger_index"]
        assert (await said(installed, machine))["ledger_index"] > accepted["ledger_index"]
    assert "clean" in await operator(root, "ledger", "check")


async def said(installed: Installed, machine: Machine) -> dict[str, Any]:
    """Enrol and say something, as an agent does, and verify the receipt by the log's own key."""
    _, keys = await installed.get("aggregator", "/v1/log/keys")
    policy = Policy(log_keys=[VerifierKey.parse(key) for key in keys.split()])
    async with aiohttp.ClientSession() as session:
        client = AgentClient(session, installed.url("aggregator"))
        assert (await client.enrol(machine))[0] == 201
        content = machine.statement()
        status, accepted = await client.post("/v1/statements", content)
    assert status == 201, accepted
    Receipt.parse(accepted["receipt"].encode()).check(content, policy)
    assert isinstance(accepted, dict)
    return accepted


async def operator(root: Path, *words: str) -> str:
    """Run a command of the aggregator as root on the machine would, while nothing runs."""
    return await run("chroot", root, "/usr/bin/whence-aggregator", *words)


def test_the_package_leaves_to_the_operator_which_services_run(root: Path) -> None:
    assert list((root / "etc/systemd/system").rglob("whence-aggregator.service")) == []
    written = [path for path in (root / "usr/lib/whence-aggregator").rglob("*") if path.stat().st_mode & 0o022]
    assert written == []


async def configured(root: Path, scape: Landscape, authority: SigningAuthority) -> str:
    """Write the settings as the README says; give the token that was made."""
    settings = root / "etc/whence"
    (settings / "agent.yaml").unlink(missing_ok=True)
    (settings / "authorities").mkdir(exist_ok=True)
    (settings / "authorities/eu-central-1.pem").write_bytes(authority.pem)
    document = {
        "audience": "https://whence.example.org",
        "accounts": ["123456789012"],
        "listen_port": _PORTS["aggregator"],
        "sts": "off",
        "authorities_directory": "/etc/whence/authorities",
        "registry_front": {
            "name": f"localhost:{_PORTS['registry']}",
            "backend": f"http://{scape.registry}",
            "alone": True,
            "listen_port": _PORTS["registry"],
        },
    }
    (settings / "aggregator.yaml").write_text(json.dumps(document), encoding="utf-8")
    token = (await operator(root, "token", "ada", "--team", "hello", "--file", "/etc/whence/tokens")).strip()
    await operator(root, "check")
    await operator(root, "check", "registry")
    return token


async def watched(root: Path, keys: str) -> None:
    """Have the witness watch the log of these keys."""
    watching = {"name": "witness.example.org", "log_keys": keys.split(), "listen_port": _PORTS["witness"]}
    (root / "etc/whence/witness.yaml").write_text(json.dumps(watching), encoding="utf-8")


async def test_the_packaged_aggregator_can_make_each_of_its_clients(root: Path) -> None:
    actions = {one for kind in KINDS.values() for one in (*kind.reads, *kind.writes)}
    asked = {one.partition(":")[0] for one in actions} - {"tag"}  # the prefix of resourcegroupstaggingapi
    for source in (ROOT / "aggregator/src/whence_aggregator/adapters").rglob("*.py"):
        asked |= set(re.findall(r'client\(\s*"([a-z0-9-]+)"', source.read_text(encoding="utf-8")))
    assert {"ec2", "s3", "sts", "rds", "resourcegroupstaggingapi", "service-quotas"} <= asked
    program = (
        "import sys; sys.path.insert(0, '/usr/lib/whence-aggregator'); import botocore.session as s\n"
        f"for n in {sorted(asked)}:\n"
        "    s.get_session().create_client(n, region_name='eu-central-1')\n"
        "print('made')"
    )
    assert "made" in await run("chroot", root, "/usr/bin/python3", "-c", program)


async def test_the_packaged_whence_accounts_knows_its_keys_and_the_policy_that_it_needs(root: Path) -> None:
    assert "not exist" in await run("chroot", root, "/usr/bin/whence-accounts", "explain", "roles.*.drop")
    policy = json.loads(await run("chroot", root, "/usr/bin/whence-accounts", "check-permissions", "--policy"))
    assert "iam:CreateRole" in policy["Statement"][0]["Action"]


@asynccontextmanager
async def booted(root: Path, token: str, logs: Path, *services: str) -> AsyncIterator[Installed]:
    """Enable the services and boot the machine."""
    units = [f"whence-{service}" for service in services]
    await run("systemctl", f"--root={root}", "enable", *units)
    installed = Installed(root=root, token=token)

    async def ready() -> bool:
        return all([await installed.listens(service) for service in services])

    try:
        command = booting(root)
        async with started(
            "nspawn-aggregator", command, logs=logs, ready=ready, seconds_max=_BOOT_SECONDS_MAX
        ) as process:
            yield replace(installed, process=process)
    finally:
        await run("systemctl", f"--root={root}", "disable", *units)
