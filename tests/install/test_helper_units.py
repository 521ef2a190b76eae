"""The units of the helpers that run as root: each request that the agent sends, in a booted root with their confinement."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from landscape.disks import disks
from landscape.listening import documented, listening
from landscape.machines import Machine, booted
from landscape.processes import NotReady, run

pytestmark = pytest.mark.timeout(900)
"""The packages are built and a root made first: both download."""
_ASK = """
import socket, sys
with socket.socket(socket.AF_UNIX) as helper:
    helper.connect(sys.argv[1])
    helper.sendall(sys.argv[2].encode() + b"\\n")
    sys.stdout.write(helper.makefile().readlines()[-1])
"""
_PERSON = "dora"


@asynccontextmanager
async def helpers(root: Path, logs: Path, *options: str) -> AsyncIterator[Machine]:
    """Boot a root whose agent is configured; the agent itself is not started."""
    (root / "etc/whence/agent.yaml").write_text("aggregator_url: http://127.0.0.1:9\n", encoding="utf-8")
    await run("systemctl", f"--root={root}", "disable", "whence-agent.service")
    # nspawn mounts /proc/sys and /sys read-only unless told otherwise, and no helper could write there.
    async with booted(root, logs, *options, environment={"SYSTEMD_NSPAWN_API_VFS_WRITABLE": "yes"}) as machine:
        yield machine


async def asked(machine: Machine, helper: str, request: dict[str, Any]) -> dict[str, Any]:
    """Send a request as the agent's user does; return the last line of the answer."""
    program = ("/usr/bin/python3", "-IS", "-c", _ASK, f"/run/whence-{helper}.sock", json.dumps(request))
    code, output = await machine.said("runuser", "-u", "whence-agent", "--", *program)
    assert code == 0, output
    answer: dict[str, Any] = json.loads(output)
    return answer


async def test_the_helper_for_settings_does_all_that_the_agent_asks_of_it_and_nothing_of_the_disks(
    copied_root: Path, tmp_path: Path
) -> None:
    keys = copied_root / f"home/{_PERSON}/.ssh/authorized_keys"
    await run("chroot", copied_root, "useradd", "--create-home", _PERSON)
    keys.parent.mkdir(mode=0o700)
    keys.write_text("ssh-ed25519 AAAA\n", encoding="ascii")
    await run("chroot", copied_root, "chown", "-R", _PERSON, f"/home/{_PERSON}/.ssh")
    # What this machine has already, since a container shares these with it.
    swappiness = Path("/proc/sys/vm/swappiness").read_text(encoding="ascii").strip()
    queue = Path("/proc/sys/net/core/somaxconn").read_text(encoding="ascii").strip()
    pages = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text(encoding="ascii").split("[")[1].split("]")[0]
    async with helpers(copied_root, tmp_path) as machine:
        answer = await asked(
            machine, "machine",
            {
                "type": "host",
                "sysctl": {"vm.swappiness": swappiness, "net.core.somaxconn": queue},
                "huge_pages": pages,
                "ssh_ports": [2222],
                "remove_keys_of": [_PERSON],
                "custom_logs": {"size_bytes": 1000, "interval": "daily", "files": 3},
            },
        )  # fmt: skip
        assert answer == {
            "done": [
                f"net.core.somaxconn = {queue}",
                f"vm.swappiness = {swappiness}",
                f"transparent huge pages: {pages}",
                "sshd listens on 2222",
                f"removed the authorized_keys of {_PERSON}",
                "rotation of /var/log-custom",
            ]
        }
        assert not keys.exists()
        assert (copied_root / "var/log-custom").is_dir()
        assert (copied_root / "etc/ssh/sshd_config.d/50-whence.conf").read_text("ascii").endswith("Port 2222\n")
        assert "rotate 3" in (copied_root / "etc/logrotate.d/whence-custom").read_text("ascii")

        stated = {one for unit, found in documented().items() if unit.endswith(".socket") for one in found}
        of_systemd = ("/run/systemd/", "/run/dbus/", "/run/udev/")
        assert {one for one in listening(machine.leader) if not one.startswith(of_systemd)} == stated
        for helper in ("machine", "disks"):
            person = ("runuser", "-u", _PERSON, "--", "/usr/bin/python3", "-IS", "-c", _ASK)
            code, output = await machine.said(*person, f"/run/whence-{helper}.sock", "{}")
            assert (code, "PermissionError" in output) == (1, True)

        refused = await asked(machine, "machine", {"type": "storage"})
        assert refused["failed"]["code"] == "request-elsewhere"
        refused = await asked(machine, "disks", {"type": "power-off", "reason": "no"})
        assert refused["failed"]["code"] == "request-elsewhere"
        assert (await machine.said("test", "-e", "/run/systemd/shutdown/scheduled"))[0] != 0

        answer = await asked(machine, "machine", {"type": "power-off", "reason": "the application ended"})
        assert answer == {"done": ["the machine powers off in a minute"]}
        assert "MODE=poweroff" in await machine.run("cat", "/run/systemd/shutdown/scheduled")


async def test_the_helper_for_disks_formats_and_mounts_what_the_host_then_sees(
    copied_root: Path, tmp_path: Path
) -> None:
    (tmp_path / "disks").mkdir()
    async with disks(tmp_path / "disks") as made:
        try:
            loop = await made.add("xvdf")
        except NotReady as exc:
            pytest.fail(f"this test needs loop devices: {exc}")
        async with helpers(copied_root, tmp_path, f"--bind={loop}:/dev/xvdf") as machine:
            mounts = [
                {
                    "path": "/data", "device": "/dev/xvdf", "file_system": "ext4", "options": ["noatime"],
                    "erase": True, "owner": [999, 999],
                },
                {"path": "/fast", "device": "tmpfs", "file_system": "tmpfs", "options": ["size=1m"], "erase": False},
                {"path": "/plain", "device": None, "file_system": "ext4", "options": [], "erase": False},
            ]  # fmt: skip
            answer = await asked(machine, "disks", {"type": "storage", "mounts": mounts})
            assert answer == {
                "done": [
                    "formatted /dev/xvdf as ext4",
                    "mounted /dev/xvdf at /mounts/data",
                    "mounted tmpfs at /mounts/fast",
                ]
            }
            # Seen by another process of the machine, which is what the Engine is.
            seen = await machine.run("cat", "/proc/1/mountinfo")
            assert {line.split()[4] for line in seen.splitlines()} >= {"/mounts/data", "/mounts/fast"}
            await machine.run("sh", "-c", "echo kept > /mounts/data/file")
            assert (await machine.run("stat", "-c", "%a", "/mounts/data", "/mounts/plain")).split() == ["777", "777"]
            again = await asked(machine, "disks", {"type": "storage", "mounts": mounts})
            assert again == {"done": []}
            assert await machine.run("cat", "/mounts/data/file") == "kept\n"
