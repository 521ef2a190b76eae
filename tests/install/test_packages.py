"""The two packages in a bare root: what they bring along, what they do unconfigured, upgraded, removed and purged."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path

import pytest

from landscape.machines import Machine, booted
from landscape.package_builds import in_root
from landscape.processes import answers, free_port, run, started
from landscape.whole import ROOT, Landscape
from whence_agent import settings as agent_settings
from whence_agent.machine.programs import PACKAGES
from whence_aggregator.settings import server as aggregator_settings
from whence_aggregator.settings import witness as witness_settings
from whence_common.runtime.pause import pause
from whence_common.user_data.storage import FILE_SYSTEMS

_SECONDS_MAX = 120.0
_SERVICES = ("whence-agent", "whence-aggregator", "whence-registry", "whence-mint", "whence-witness")
pytestmark = pytest.mark.timeout(900)
"""The packages are built and a root made first: both download."""


async def installed(root: Path) -> dict[str, str]:
    """Give the packages of a root, each with its state."""
    output = await run("dpkg-query", f"--root={root}", "--show", "--showformat=${Package} ${db:Status-Status}\n")
    return dict(line.split() for line in output.splitlines())


async def control(root: Path, package: str, field: str) -> str:
    return await run("dpkg-query", f"--root={root}", "--show", f"--showformat=${{{field}}}", package)


async def test_a_bare_root_gets_what_the_aggregator_calls(root: Path) -> None:
    assert (await installed(root))["git"] == "installed"
    assert "git version" in await run("chroot", root, "git", "--version")
    assert (root / "etc/ssl/certs/ca-certificates.crt").stat().st_size > 0
    called = set()
    for source in (ROOT / "aggregator/src/whence_aggregator").rglob("*.py"):
        text = source.read_text(encoding="utf-8")
        called |= set(re.findall(r'(?:subprocess\.run|create_subprocess_exec)\(\s*\[?"([a-z0-9.-]+)"', text))
    assert called <= {"git", "docker-credential"}


async def test_every_program_that_the_agents_helper_calls_is_in_a_package_that_it_names(root: Path) -> None:
    called = {f"mkfs.{system}" for system in FILE_SYSTEMS if system != "tmpfs"}
    for source in (ROOT / "agent/src/whence_agent/machine").glob("*.py"):
        text = source.read_text(encoding="utf-8")
        called |= set(re.findall(r'(?:programs\.run\(\s*|command = \(|else \()"([a-z0-9_.-]+)"', text))
    assert called == set(PACKAGES)
    named = "".join([await control(root, "whence-agent", field) for field in ("Depends", "Recommends", "Suggests")])
    essential = {"util-linux"}
    assert {one for one in PACKAGES.values() if one not in named} <= essential
    assert "docker.io | docker-ce" in await control(root, "whence-agent", "Recommends")


def test_the_samples_are_valid_and_so_is_every_setting_that_they_leave_out() -> None:
    folder = ROOT / "packaging/settings"
    readers = {
        "agent.sample.yaml": agent_settings.read_settings,
        "aggregator.sample.yaml": aggregator_settings.read_settings,
        "witness.sample.yaml": witness_settings.read_witness_settings,
    }
    assert sorted(one.name for one in folder.iterdir()) == sorted(readers)
    for name, read in readers.items():
        text = (folder / name).read_text(encoding="utf-8")
        assert not text.startswith(("audience", "name"))
        read(text.encode(), name=name)
        whole = re.sub(r"^# ([a-z_]+: )", r"\1", text, flags=re.MULTILINE)
        assert whole != text
        read(whole.encode(), name=name)


async def test_services_without_settings_say_what_to_do_and_are_not_restarted(
    copied_root: Path, tmp_path: Path
) -> None:
    await run("systemctl", f"--root={copied_root}", "enable", *_SERVICES[1:])
    async with booted(copied_root, tmp_path) as machine:
        for service in _SERVICES:
            found = await machine.unit(service, "failed")
            assert (found["Result"], found["NRestarts"], found["ExecMainStatus"]) == ("exit-code", "0", "78"), service
            sample = {"whence-registry": "aggregator", "whence-mint": "aggregator"}.get(
                service, service.removeprefix("whence-")
            )
            told = await machine.journal(service)
            assert f"there are no settings: /etc/whence/{sample}.yaml does not exist" in told
            assert f"copy /etc/whence/{sample}.sample.yaml to it" in told


async def test_an_agent_without_an_engine_says_so_and_is_not_restarted(
    copied_root: Path, scape: Landscape, tmp_path: Path
) -> None:
    image = await scape.build("installed", "1.0", scm=scape.greeter_scm(0))
    user_data = (
        "#taupage-ami-config\napplication_id: greeter\napplication_version: '1.0'\nruntime: Docker\n"
        f"source: {image.reference}\n"
    )
    port = free_port()
    async with scape.instance(user_data.encode()) as service:
        document = {
            "aggregator_url": "http://127.0.0.1:9",
            "metadata_url": service.url,
            "aws_endpoint_url": scape.aws.url,
            "registries": {scape.registry: {"immutable_tags": True}},
            "status_port": port,
            "watch_seconds": 0.05,
            "stage_seconds_max": {"pull": 2, "run": 1},
        }
        (copied_root / "etc/whence/agent.yaml").write_text(json.dumps(document), encoding="utf-8")
        dropin = copied_root / "etc/systemd/system/whence-agent.service.d/soon.conf"
        dropin.parent.mkdir()
        dropin.write_text("[Service]\nRestartSec=100ms\n", encoding="utf-8")  # a loop would be seen at once
        async with booted(copied_root, tmp_path) as machine:
            async with asyncio.timeout(_SECONDS_MAX):
                while not await answers(port):
                    await pause(0.2)
                while (status := json.loads((await machine.said("whence-agent", "status", "--json"))[1]))[
                    "state"
                ] != "failed":
                    await pause(0.5)
            assert "the Docker Engine at unix:///run/docker.sock is unreachable" in " ".join(status["reasons"])
            assert "apt-get install docker.io" in status["what_to_do"]
            found = await machine.unit("whence-agent", "active", "failed")
            assert (found["ActiveState"], found["NRestarts"]) == ("active", "0")
            assert len((await machine.journal("whence-agent")).splitlines()) < 40


async def test_an_upgrade_keeps_state_settings_and_what_the_administrator_decided(
    copied_root: Path, tmp_path: Path
) -> None:
    etc, state, port = copied_root / "etc/whence", copied_root / "var/lib/private/whence-aggregator", free_port()
    state.mkdir(parents=True)
    settings = f"aggregator_url: http://127.0.0.1:9\nmetadata_url: http://127.0.0.1:9\nstatus_port: {port}\n"
    written = {
        etc / "agent.yaml": settings, etc / "agent.sample.yaml": "# edited by us\n",
        **{path: f"ours: {path.name}\n" for path in (
            etc / "aggregator.yaml", etc / "tokens", etc / "credentials/tls.key", state / "log.key",
            copied_root / "var/lib/whence-agent/instance.key",
        )},
    }  # fmt: skip
    for path, text in written.items():
        path.write_text(text, encoding="utf-8")
    await run("systemctl", f"--root={copied_root}", "disable", "whence-agent.service")
    await run("systemctl", f"--root={copied_root}", "enable", "whence-aggregator.service")
    await upgraded(copied_root, await with_another_sample(copied_root, tmp_path, "# of the newer package\n"))
    assert (await control(copied_root, "whence-agent", "Version")) == "99.0"
    assert {path: path.read_text(encoding="utf-8") for path in written} == written
    assert (etc / "agent.sample.yaml.dpkg-dist").read_text(encoding="utf-8") == "# of the newer package\n"
    wants = copied_root / "etc/systemd/system/multi-user.target.wants"
    assert not (wants / "whence-agent.service").is_symlink()
    assert (wants / "whence-shutdown.service").is_symlink()
    assert (wants / "whence-aggregator.service").is_symlink()
    assert (etc / "credentials").stat().st_mode & 0o777 == 0o700
    command = ("chroot", copied_root, "/usr/bin/whence-agent", "run")
    async with started("upgraded", command, logs=tmp_path, ready=lambda: answers(port)) as agent:
        assert agent.process.returncode is None


async def with_another_sample(root: Path, directory: Path, sample: str) -> Path:
    """Return the agent's package as version 99.0 with another sample of the settings."""
    (package,) = root.glob("srv/whence/pool/main/w/whence-agent/*.deb")
    tree, newer = directory / "newer", directory / "newer.deb"
    await run("dpkg-deb", "--raw-extract", package, tree)
    control = (tree / "DEBIAN/control").read_text(encoding="utf-8")
    (tree / "DEBIAN/control").write_text(re.sub(r"(?m)^Version: .*$", "Version: 99.0", control), encoding="utf-8")
    (tree / "etc/whence/agent.sample.yaml").write_text(sample, encoding="utf-8")
    await run("dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, newer)
    return newer


async def test_removal_keeps_everything_and_purging_keeps_the_ledger_and_the_administrators_files(
    copied_root: Path,
) -> None:
    etc, state = copied_root / "etc/whence", copied_root / "var/lib/private/whence-aggregator"
    state.mkdir(parents=True)
    for path in (etc / "agent.yaml", etc / "tokens", state / "ledger.db"):
        path.write_text("ours\n", encoding="utf-8")
    key = copied_root / "var/lib/whence-agent/instance.key"
    key.write_text("ours\n", encoding="utf-8")
    await run("chroot", copied_root, "dpkg", "--remove", "whence-agent", "whence-aggregator")
    assert key.exists()
    assert (etc / "agent.sample.yaml").exists()
    assert not (copied_root / "usr/bin/whence-agent").exists()
    assert (await installed(copied_root))["whence-agent"] == "config-files"
    said = await run("chroot", copied_root, "dpkg", "--purge", "whence-agent", "whence-aggregator")
    assert not key.parent.exists()
    assert not (copied_root / "etc/taupage.yaml").is_symlink()
    assert sorted(path.name for path in etc.iterdir()) == ["agent.yaml", "tokens"]
    assert (state / "ledger.db").exists()
    assert "whence-aggregator is kept" in said
    assert not list((copied_root / "etc/systemd/system").rglob("whence-*"))
    assert "whence-agent" not in await installed(copied_root)


async def test_an_upgrade_restarts_only_what_runs_and_a_removal_does_not_look_like_the_machine_going_down(
    copied_root: Path, tmp_path: Path
) -> None:
    (copied_root / "etc/whence/agent.yaml").write_text("aggregator_url: http://127.0.0.1:9\n", encoding="utf-8")
    dropin = copied_root / "etc/systemd/system/whence-agent.service.d/stand-in.conf"
    dropin.parent.mkdir()
    # What stands for the agent notes at its end whether it was told that the machine goes down.
    dropin.write_text(
        "[Service]\nType=exec\nWatchdogSec=0\nExecStart=\nExecStart=/bin/sleep infinity\n"
        "ExecStop=+/bin/sh -c 'test -e /run/whence-machine-stops && echo drained > /said || echo stopped > /said'\n",
        encoding="utf-8",
    )
    for service in ("whence-registry", "whence-mint"):
        stand_in = copied_root / f"etc/systemd/system/{service}.service.d/stand-in.conf"
        stand_in.parent.mkdir()
        stand_in.write_text("[Service]\nExecStart=\nExecStart=/bin/sleep infinity\n", encoding="utf-8")
    async with booted(copied_root, tmp_path) as machine:
        assert (await machine.unit("whence-agent", "active", "failed"))["ActiveState"] == "active"
        await an_upgrade_restarts_what_runs(machine)
        await an_upgrade_does_not_wait_for_a_boot(machine, dropin)
        await machine.run("dpkg", "--remove", "whence-agent")
        assert (copied_root / "said").read_text() == "stopped\n"
    (copied_root / "said").unlink()


async def an_upgrade_restarts_what_runs(machine: Machine) -> None:
    """Check that the aggregator's postinst starts no service that is enabled and was stopped, and restarts the others."""
    for service in ("whence-registry", "whence-mint"):
        await machine.run("systemctl", "enable", service)
    await machine.run("systemctl", "start", "whence-mint")
    before = (await machine.unit("whence-mint", "active"))["InvocationID"]
    await machine.run("/var/lib/dpkg/info/whence-aggregator.postinst", "configure", "0.1.0")
    assert (await machine.unit("whence-mint", "active"))["InvocationID"] != before
    assert (await machine.unit("whence-registry", "inactive"))["ActiveState"] == "inactive"


async def an_upgrade_does_not_wait_for_a_boot(machine: Machine, dropin: Path) -> None:
    """Check that the agent's postinst ends while a restarted agent is not ready, and that its start goes on."""
    stand_in = dropin.read_text(encoding="utf-8")
    dropin.write_text(stand_in.replace("Type=exec", "Type=notify"), encoding="utf-8")
    postinst = ("/var/lib/dpkg/info/whence-agent.postinst", "configure", "0.1.0")
    assert "not ready yet" in await machine.run("env", "WHENCE_READY_SECONDS=1", *postinst)
    assert (await machine.unit("whence-agent", "activating"))["ActiveState"] == "activating"
    dropin.write_text(stand_in, encoding="utf-8")
    assert "not ready yet" not in await machine.run(*postinst)
    assert (await machine.unit("whence-agent", "active"))["ActiveState"] == "active"


async def upgraded(root: Path, newer: Path) -> None:
    """Install a newer agent, as an unattended upgrade does; of the aggregator, which is large, run the script alone."""
    shutil.copy(newer, root / "srv/newer.deb")
    await in_root(root, "dpkg", "--install", "--force-confold", "--force-unsafe-io", "/srv/newer.deb")
    await in_root(root, "/var/lib/dpkg/info/whence-aggregator.postinst", "configure", "0.1.0")
