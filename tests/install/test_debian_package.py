"""The Debian package, installed into a fresh root, booted by real systemd, against the landscape."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from landscape.processes import answers, free_port, run, started
from landscape.programs import BIN, Agent, AgentSettings, Aggregator, agent_config
from landscape.whole import ROOT, Landscape

_BOOT_SECONDS_MAX = 120.0
_UNIT = "whence-agent.service"
pytestmark = pytest.mark.timeout(900)
"""A package is built and a root made first: both download."""


@pytest.fixture(scope="session")
async def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Debian root with the package installed in it."""
    assert os.geteuid() == 0, "this test boots a machine, which needs root"
    work = tmp_path_factory.mktemp("package")
    for part in ("common", "agent"):
        await run(BIN / "python", "-m", "build", "--wheel", "--outdir", work / "wheels", ROOT / part)
    await run(BIN / "python", ROOT / "packaging/deb/build.py", "--wheels", work / "wheels", "--out", work)
    (package,) = work.glob("*.deb")
    root = work / "root"
    await run(
        "mmdebstrap", "--variant=minbase", "--include=systemd,systemd-sysv,dbus,python3-minimal,python3,ca-certificates",
        f"--customize-hook=copy-in {package} /", f"--customize-hook=chroot $1 dpkg -i /{package.name}",
        "bookworm", root,
    )  # fmt: skip
    return root


async def test_an_installed_agent_boots_its_instance_and_the_container_can_be_traced(
    root: Path, scape: Landscape, server: Aggregator
) -> None:
    image = await scape.build("installed", "1.0", scm=scape.greeter_scm(0))
    assert await server.put("/apps/greeter", {"team_id": "hello", "name": "Greeter", "active": True}) == 200
    user_data = (
        "#taupage-ami-config\napplication_id: greeter\napplication_version: '1.0'\nruntime: Docker\n"
        f"source: {image.reference}\nports: {{{free_port()}: 8080}}\nhealth_check_path: /health\n"
    )
    async with (
        scape.instance(user_data.encode()) as service,
        machine(root, scape, server, metadata_url=service.url) as booted,
    ):
        status = await booted.until("ok", "failed", seconds_max=_BOOT_SECONDS_MAX)
        assert status["state"] == "ok", status["reasons"]
        lineage = await server.settled(service.instance_id)
        links = {link["link"]: link for link in lineage["links"]}
        assert links["image"]["state"] == "confirmed"
        assert links["image"]["value"]["digest"] == image.digest
        assert links["commit"]["value"]["commit"] == scape.sources.commits[0]
        assert links["team"]["value"]["team_id"] == "hello"


def test_the_package_confines_the_agent(root: Path) -> None:
    unit = (root / "usr/lib/systemd/system" / _UNIT).read_text(encoding="utf-8")
    assert "User=whence-agent" in unit
    assert (root / "etc/systemd/system/multi-user.target.wants" / _UNIT).is_symlink()
    written = [path for path in (root / "usr/lib/whence-agent").rglob("*") if path.stat().st_mode & 0o022]
    assert written == []


async def test_the_unit_is_hardened_as_the_design_asks(root: Path) -> None:
    exposure = await run("systemd-analyze", "security", "--offline=true", root / "usr/lib/systemd/system" / _UNIT)
    overall = exposure.strip().rsplit("Overall exposure level for", 1)[1]
    assert float(overall.split(":", 1)[1].split()[0]) <= 2.0


@asynccontextmanager
async def machine(root: Path, scape: Landscape, server: Aggregator, *, metadata_url: str) -> AsyncIterator[Agent]:
    """Boot the root with systemd-nspawn; the engine is the landscape's, so /meta has the same path on both sides."""
    meta = Path(tempfile.mkdtemp(prefix="whence-meta-", dir="/srv"))
    port, name = free_port(), "whence-installed"
    socket = scape.engine.removeprefix("unix://")
    try:
        settings = AgentSettings(
            metadata_url=metadata_url,
            aggregator_url=server.url,
            engine="unix:///run/docker.sock",
            aws_url=scape.aws.url,
            immutable_registries=(scape.registry,),
        )
        document = agent_config(settings, home=Path("/nowhere"), name=name, status_port=port)
        del document["state_directory"], document["application_gid"]
        (root / "etc/whence/agent.yaml").write_text(
            json.dumps({**document, "container_directory": str(meta)}), encoding="utf-8"
        )
        _grant(root, meta, socket_gid=Path(socket).stat().st_gid)
        command = [
            "systemd-nspawn", "--quiet", "--directory", root, "--boot", "--register=no", "--keep-unit", "--console=pipe",
            f"--bind={socket}:/run/docker.sock", f"--bind={meta}", "systemd.log_target=console",
        ]  # fmt: skip
        async with started(
            "nspawn", command, logs=scape.logs, ready=lambda: answers(port), seconds_max=_BOOT_SECONDS_MAX
        ) as process:
            yield Agent(process=process, url=f"http://127.0.0.1:{port}", home=root, container_name=name)
    finally:
        await scape.remove_container(name)
        await asyncio.to_thread(shutil.rmtree, meta, ignore_errors=True)


def _grant(root: Path, meta: Path, *, socket_gid: int) -> None:
    """Give the agent's user the engine's group, as docker.io would have, and the folder that stands for /meta."""
    passwd = (root / "etc/passwd").read_text(encoding="utf-8")
    uid = next(int(line.split(":")[2]) for line in passwd.splitlines() if line.startswith("whence-agent:"))
    os.chown(meta, uid, -1)
    group = root / "etc/group"
    kept = [line for line in group.read_text(encoding="utf-8").splitlines() if not line.startswith("docker:")]
    group.write_text("\n".join([*kept, f"docker:x:{socket_gid}:whence-agent", ""]), encoding="utf-8")
    dropin = root / f"etc/systemd/system/{_UNIT}.d/meta.conf"
    dropin.parent.mkdir(parents=True, exist_ok=True)
    dropin.write_text(f"[Service]\nReadWritePaths={meta}\n", encoding="utf-8")
