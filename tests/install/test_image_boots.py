"""The image, booted by systemd-nspawn with its own systemd, engine and agent; and what befalls one machine in its life."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fakes.metadata_service import MetadataService
from landscape.endurance import repeated
from landscape.image_machines import ImageMachine, image_machine
from landscape.image_roots import image_layers, repacked
from landscape.images import BuiltImage
from landscape.processes import free_port
from landscape.programs import Aggregator
from landscape.roots import layered
from landscape.whole import Landscape
from whence_common.runtime.pause import pause

pytestmark = [pytest.mark.timeout(900), pytest.mark.root]
_STARTS = (
    "docker events --since=0 --until=$(date --date='1 second' +%s) --filter=event=start "
    "--format='{{.Actor.Attributes.name}}'"
)
"""Which containers this engine has started since its own start; it remembers the last 256 events."""
_LIFE = "{{.Id}} {{.State.StartedAt}} {{.RestartCount}}"


@dataclass(frozen=True, slots=True)
class Life:
    """One machine, booted for all tests of this file, and what it should run."""

    machine: ImageMachine
    service: MetadataService
    server: Aggregator
    image: BuiltImage

    async def shown(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.server.get(f"/v1/instances/{self.service.instance_id}")
        return found


def user_data(reference: str, more: str = "") -> bytes:
    return (
        "#taupage-ami-config\napplication_id: greeter\napplication_version: '1.0'\nruntime: Docker\n"
        f"source: {reference}\nports: {{{free_port()}: 8080}}\nhealth_check_path: /health\nstop_timeout: 1\n{more}"
    ).encode()


@pytest.fixture(scope="module")
async def life(
    scape: Landscape, shared_server: Aggregator, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Life]:
    image = await scape.build("baked", "1.0", scm=scape.greeter_scm(0))
    assert await shared_server.put("/apps/greeter", {"team_id": "hello", "name": "Greeter", "active": True}) == 200
    directory = tmp_path_factory.mktemp("life")
    async with (
        layered(directory / "layer", *await image_layers()) as root,
        scape.instance(user_data(image.reference)) as service,
        image_machine(root, directory, scape, shared_server, service) as machine,
        machine.booted(),
    ):
        yield Life(machine=machine, service=service, server=shared_server, image=image)


async def test_systemd_runs_without_a_failed_unit_and_the_application_is_traced(life: Life, scape: Landscape) -> None:
    status = await life.machine.until("ok", "failed")
    assert status["state"] == "ok", status["reasons"]
    assert await life.machine.running() == ""
    assert await life.machine.containers() == {"taupageapp": "running"}
    lineage = await life.server.settled(life.service.instance_id)
    links = {link["link"]: link for link in lineage["links"]}
    assert links["image"]["state"] == "confirmed"
    assert links["image"]["value"]["digest"] == life.image.digest
    assert links["commit"]["value"]["commit"] == scape.sources.commits[0]
    assert links["team"]["value"]["team_id"] == "hello"
    assert "SUCCESS: running greeter 1.0" in life.machine.console


async def test_only_the_application_listens_to_others(life: Life) -> None:
    await life.machine.until("ok")
    listening = await life.machine.run("ss", "--no-header", "--listening", "--numeric", "--tcp", "--udp", "--processes")
    of_the_machine = [
        line.split()[-1] for line in listening.splitlines() if "127.0.0." not in line and "users:" in line
    ]
    assert {who.split('"')[1] for who in of_the_machine} == {"docker-proxy"}


async def test_nobody_can_log_in_and_nothing_of_the_aggregator_is_there(life: Life) -> None:
    assert (await life.machine.said("sh", "-c", "command -v sshd ssh-keygen cloud-init"))[1] == ""
    assert not (life.machine.root / "usr/lib/whence-aggregator").exists()
    assert (await life.machine.run("passwd", "--status", "root")).split()[1] == "L"


async def test_an_agent_that_is_killed_adopts_what_runs(life: Life) -> None:
    before, ran = await life.machine.until("ok"), await life.machine.inspected(_LIFE)
    await life.machine.run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "whence-agent")
    await life.machine.until("ok", since=before["started_at"])
    assert await life.machine.inspected(_LIFE) == ran
    assert await life.machine.containers() == {"taupageapp": "running"}


async def test_an_engine_that_is_killed_comes_back_and_the_application_ran_on(life: Life) -> None:
    await life.machine.until("ok")
    ran = await life.machine.inspected(_LIFE)
    pid = await life.machine.run("systemctl", "show", "docker", "--property=MainPID", "--value")
    await life.machine.run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "docker")
    async with asyncio.timeout(30):
        while (await life.machine.run("systemctl", "show", "docker", "--property=MainPID", "--value")) in (pid, "0\n"):
            await pause(0.1)
    await life.machine.run("docker", "ps")
    await life.machine.until("ok")
    assert await life.machine.inspected(_LIFE) == ran


_KILLING = """
import contextlib, os, signal, socket
from pathlib import Path

def helpers():
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if b"whence-agent\\0machine\\0" in file.read_bytes():
                yield int(file.parent.name)

one = socket.socket(socket.AF_UNIX)
one.connect("/run/whence-machine.sock")
one.settimeout(20)
while not (found := list(helpers())):
    pass
for pid in found:
    os.kill(pid, signal.SIGKILL)
print("ended" if one.recv(1) == b"" else "answered")
"""
"""Sends no request, and kills the helper that waits for it."""


async def test_a_helper_that_is_killed_fails_one_request_and_no_unit(life: Life) -> None:
    await life.machine.until("ok")
    assert await life.machine.run("python3", "-c", _KILLING) == "ended\n"
    assert await life.machine.running() == ""
    assert (await life.machine.run("systemctl", "is-active", "whence-machine.socket")) == "active\n"


async def test_an_upgrade_and_a_downgrade_in_place_leave_the_application_alone(life: Life, tmp_path: Path) -> None:
    before, ran = await life.machine.until("ok"), await life.machine.inspected(_LIFE)
    (life.machine.root / "root").mkdir(exist_ok=True)
    for version in ("99.0", None):
        package = await repacked(tmp_path, version)
        target = life.machine.root / "root" / package.name
        target.write_bytes(package.read_bytes())
        await life.machine.run("dpkg", "--install", f"/root/{package.name}")
        target.unlink()
        after = await life.machine.until("ok", since=before["started_at"])
        assert await life.machine.inspected(_LIFE) == ran
        before = after
    assert await life.machine.running() == ""


@pytest.mark.endurance
async def test_after_a_reboot_the_key_is_the_same_and_each_container_was_started_once(life: Life) -> None:
    status = await life.machine.until("ok", "degraded")
    key = (life.machine.root / "var/lib/whence-agent/key.pem").read_bytes()
    for _ in range(repeated(sample=3, whole=100)):
        before = status
        await life.machine.reboot()
        status = await life.machine.until("ok", since=before["started_at"])
        assert status["boot_id"] != before["boot_id"]
        assert await life.machine.containers() == {"taupageapp": "running"}
        assert (await life.machine.run("sh", "-c", _STARTS)).split() == ["taupageapp"]
        assert (life.machine.root / "var/lib/whence-agent/key.pem").read_bytes() == key
        assert await life.machine.running() == ""
    causes = [one["cause"] for one in (await life.shown())["statements"]]
    assert causes[:2] == ["boot", "stop"]


async def test_a_boot_that_fails_is_told_by_unit_console_and_status(life: Life) -> None:
    before, right = await life.machine.until("ok"), life.service.user_data
    life.service.user_data = user_data(life.image.reference.rpartition(":")[0] + ":latest")
    try:
        await life.machine.reboot()
        status = await life.machine.until("failed", since=before["started_at"])
        assert any("latest" in reason for reason in status["reasons"])
        assert await life.machine.containers() == {}
        assert "ERROR: " in life.machine.console
        shown = await life.machine.run("systemctl", "show", "whence-agent", "--property=StatusText,ActiveState")
        assert "ActiveState=active" in shown
        assert "StatusText=boot failed at user-data: see the status endpoint" in shown
        code, output = await life.machine.said("whence-agent", "status")
        assert (code, output.splitlines()[0]) == (1, "failed")
        assert await life.machine.running() == ""
    finally:
        life.service.user_data = right
        await life.machine.reboot()
    await life.machine.until("ok", since=status["started_at"])


async def test_a_spot_notice_drains_the_machine_and_says_so(life: Life) -> None:
    await life.machine.until("ok")
    life.service.spot_action = json.dumps({"action": "terminate", "time": "2026-11-27T18:00:00Z"}).encode()
    async with asyncio.timeout(30):
        while (await life.machine.containers()).get("taupageapp") == "running":
            await pause(0.1)
        while (await life.shown())["statements"][0]["cause"] != "stop":
            await pause(0.1)
