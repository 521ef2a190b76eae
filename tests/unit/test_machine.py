"""The helper's parts that need no disk: arrays by the programs they would run, the host in a root of its own."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from whence_agent.machine.place import MachinePaths
from whence_agent.machine.programs import Programs
from whence_agent.machine.protocol import MachineFailed
from whence_agent.machine.serve import Domain, serve


class Host:
    """A root, a /dev and a PATH of its own; every program in it writes down how it was called."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root, self.bin, self.calls = directory / "root", directory / "bin", directory / "calls"
        self.root.mkdir()
        self.bin.mkdir()
        self.dev = Path("/dev")

    def program(self, name: str, *, prints: str = "", ends: int = 0) -> None:
        script = f"#!/bin/sh\necho {name} \"$@\" >> {self.calls}\nprintf '%s' '{prints}'\nexit {ends}\n"
        (self.bin / name).write_text(script, encoding="ascii")
        (self.bin / name).chmod(0o755)

    def ask(
        self, request: dict[str, Any], *, allowed: tuple[str, ...] = ("vm.*",), only: Domain | None = None
    ) -> dict[str, Any]:
        sink = io.BytesIO()
        place = MachinePaths(dev=self.dev, mounts=self.directory / "mounts", root=self.root, wait_seconds_max=0)
        source = io.BytesIO(json.dumps(request).encode() + b"\n")
        serve(source, sink, place=place, allowed_sysctls=allowed, only=only, path=str(self.bin))
        last: dict[str, Any] = json.loads(sink.getvalue().splitlines()[-1])
        return last

    def called(self) -> list[str]:
        return self.calls.read_text(encoding="ascii").splitlines() if self.calls.exists() else []


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_kernel_settings_are_written_where_the_kernel_has_them(host: Host) -> None:
    for path in ("proc/sys/vm", "sys/kernel/mm/transparent_hugepage"):
        (host.root / path).mkdir(parents=True)
    (host.root / "proc/sys/vm/swappiness").write_text("60", encoding="ascii")
    (host.root / "sys/kernel/mm/transparent_hugepage/enabled").write_text("always", encoding="ascii")
    answer = host.ask({"type": "host", "sysctl": {"vm.swappiness": "1"}, "huge_pages": "never"})
    assert answer == {"done": ["vm.swappiness = 1", "transparent huge pages: never"]}
    assert (host.root / "proc/sys/vm/swappiness").read_text(encoding="ascii") == "1\n"


def test_a_setting_the_kernel_does_not_have_is_named(host: Host) -> None:
    (host.root / "proc/sys").mkdir(parents=True)
    answer = host.ask({"type": "host", "sysctl": {"vm.no_such": "1"}})
    assert answer["failed"]["code"] == "kernel-setting-unknown"


def test_sshd_gets_the_requested_ports_and_is_reloaded_only_on_changes(host: Host) -> None:
    host.program("systemctl")
    for _ in range(2):
        host.ask({"type": "host", "ssh_ports": [22, 2222]})
    assert "Port 22\nPort 2222\n" in (host.root / "etc/ssh/sshd_config.d/50-whence.conf").read_text(encoding="ascii")
    assert host.called() == ["systemctl try-reload-or-restart ssh.service"]


def test_custom_logs_are_rotated_as_asked(host: Host) -> None:
    answer = host.ask({"type": "host", "custom_logs": {"size_bytes": 1000, "interval": "hourly", "files": 3}})
    written = (host.root / "etc/logrotate.d/whence-custom").read_text(encoding="ascii")
    assert answer["done"] == ["rotation of /var/log-custom"]
    assert "hourly" in written
    assert "rotate 3" in written
    assert (host.root / "var/log-custom").is_dir()


def test_the_keys_of_a_user_are_removed_but_no_link_is_followed(host: Host) -> None:
    import pwd

    user = next(one for one in pwd.getpwall() if one.pw_uid > 0 and one.pw_dir not in ("/", "/nonexistent"))
    ssh = host.root / user.pw_dir.lstrip("/") / ".ssh"
    ssh.mkdir(parents=True)
    (ssh / "authorized_keys").write_text("ssh-ed25519 AAAA", encoding="ascii")
    assert host.ask({"type": "host", "remove_keys_of": [user.pw_name]})["done"]
    assert not (ssh / "authorized_keys").exists()
    elsewhere = host.directory / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "authorized_keys").write_text("ssh-ed25519 AAAA", encoding="ascii")
    ssh.rmdir()
    ssh.symlink_to(elsewhere)
    assert host.ask({"type": "host", "remove_keys_of": [user.pw_name]})["done"] == []
    assert (elsewhere / "authorized_keys").exists()


def test_power_is_switched_off_in_a_minute_with_the_reason(host: Host) -> None:
    host.program("shutdown")
    assert "done" in host.ask({"type": "power-off", "reason": "the application ended\nwith 0"})
    assert host.called() == ["shutdown -h -- +1 the application ended with 0"]


@pytest.mark.parametrize(
    "reason, shown",
    [
        ("-c", "-c"), ("--reboot", "--reboot"), ("-r now", "-r now"), ("", "no reason stated"),
        ("\x1b]0;x\x07\x9b31mred\nline", "0;x 31mred line"), ("$(reboot) `id` |x", "(reboot) id x"),
        ("\u202egnp", "gnp"), ("x" * 500, "x" * 79),
    ],
)  # fmt: skip
def test_a_reason_is_never_an_option_and_only_plain_text(host: Host, reason: str, shown: str) -> None:
    host.program("shutdown")
    assert "done" in host.ask({"type": "power-off", "reason": reason})
    (called,) = host.called()
    before, _, told = called.partition(" -- +1 ")
    assert (before, " ".join(told.split())) == ("shutdown -h", shown)


@pytest.mark.parametrize(
    "request_, only",
    [
        ({"type": "storage", "mounts": []}, "host"),
        ({"type": "host", "ssh_ports": [2222]}, "disks"),
        ({"type": "power-off"}, "disks"),
    ],
)
def test_a_helper_refuses_a_request_of_the_other_one_and_does_nothing(
    host: Host, request_: dict[str, Any], only: Domain
) -> None:
    host.program("shutdown")
    host.program("systemctl")
    assert host.ask(request_, only=only)["failed"]["code"] == "request-elsewhere"
    assert host.called() == []
    assert list(host.root.iterdir()) == []


@pytest.mark.parametrize("request_, only", [({"type": "storage"}, "disks"), ({"type": "host"}, "host")])
def test_a_helper_serves_its_own_requests(host: Host, request_: dict[str, Any], only: Domain) -> None:
    assert host.ask(request_, only=only) == {"done": []}


def ask_over(channel: socket.socket, host: Host, *, seconds_max: float) -> int:
    end = channel.fileno()
    with (
        channel,
        open(end, "rb", buffering=0, closefd=False) as source,
        open(end, "wb", buffering=0, closefd=False) as sink,
    ):
        place = MachinePaths(mounts=host.directory / "mounts", root=host.root, wait_seconds_max=0)
        return serve(source, sink, place=place, allowed_sysctls=(), path=str(host.bin), request_seconds_max=seconds_max)


def test_a_caller_without_a_request_is_disconnected(host: Host) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        assert ask_over(ours, host, seconds_max=0.05) == 1
        assert b"request-late" in theirs.recv(1000)


def test_a_slow_caller_is_disconnected_at_the_same_deadline(host: Host) -> None:
    ours, theirs = socket.socketpair()
    ended = threading.Event()

    def drip() -> None:
        with suppress(OSError):
            while not ended.is_set():
                theirs.send(b" ")
                ended.wait(0.01)

    dripping = threading.Thread(target=drip)
    dripping.start()
    with theirs:
        assert ask_over(ours, host, seconds_max=0.2) == 1
        ended.set()
        dripping.join()
        assert b"request-late" in theirs.recv(1000)


def test_a_caller_that_left_ends_the_work_quietly(host: Host) -> None:
    host.program("shutdown")
    ours, theirs = socket.socketpair()
    theirs.sendall(b'{"type": "power-off"}\n')
    theirs.close()
    assert ask_over(ours, host, seconds_max=5) == 1
    assert host.called() == []


def test_the_keys_below_a_link_that_is_swapped_in_stay(host: Host) -> None:
    """What root would remove must not be reached by a user who exchanges the directory meanwhile."""
    import pwd

    user = next(one for one in pwd.getpwall() if one.pw_uid > 0 and one.pw_dir not in ("/", "/nonexistent"))
    home, victim = host.root / user.pw_dir.lstrip("/"), host.directory / "victim"
    (home / ".ssh").mkdir(parents=True)
    (home / "link").symlink_to(victim)
    victim.mkdir()
    (victim / "authorized_keys").write_text("root's", encoding="ascii")
    with exchanging(home / ".ssh", home / "link"):
        for _ in range(300):
            host.ask({"type": "host", "remove_keys_of": [user.pw_name]})
    assert (victim / "authorized_keys").exists()


def test_a_directory_that_is_exchanged_for_a_link_leaves_what_it_leads_to_as_it_was(host: Host) -> None:
    mounts, victim = host.directory / "mounts", host.directory / "victim"
    (mounts / "data" / "logs").mkdir(parents=True)
    victim.mkdir(mode=0o700)
    (mounts / "data" / "link").symlink_to(victim)
    request: dict[str, Any] = {
        "path": "/data/logs",
        "device": None,
        "file_system": "ext4",
        "options": [],
        "erase": False,
    }
    deeper = {**request, "path": "/data/logs/deeper"}
    codes = set()
    with exchanging(mounts / "data" / "logs", mounts / "data" / "link"):
        for _ in range(300):
            for one in (request, deeper):
                answer = host.ask({"type": "storage", "mounts": [one]})
                codes.add(answer["failed"]["code"] if "failed" in answer else "done")
    assert victim.stat().st_mode & 0o777 == 0o700
    assert list(victim.iterdir()) == []
    assert codes == {"done", "mount-path-link"}


@contextmanager
def exchanging(one: Path, other: Path) -> Iterator[None]:
    """Have another process exchange two names again and again, each time in one step."""
    program = (
        "import ctypes, sys\n"
        "libc = ctypes.CDLL(None)\n"
        "one, other = (name.encode() for name in sys.argv[1:])\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    assert libc.renameat2(-100, one, -100, other, 2) == 0\n"
    )
    command = [sys.executable, "-c", program, str(one), str(other)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield
        finally:
            process.kill()


def test_a_program_that_fails_is_shown_with_its_words(host: Host) -> None:
    host.program("shutdown", prints="no way", ends=3)
    failed = host.ask({"type": "power-off"})["failed"]
    assert (failed["code"], "no way" in failed["message"]) == ("program-failed", True)


def test_a_program_that_is_not_there_names_its_package(tmp_path: Path) -> None:
    programs = Programs(say=lambda _: None, path=str(tmp_path))
    with pytest.raises(MachineFailed) as caught:
        programs.run("mdadm", "--version", seconds_max=5)
    assert (caught.value.code, "mdadm" in caught.value.fix) == ("program-missing", True)


def test_a_program_that_does_not_end_is_stopped() -> None:
    with pytest.raises(MachineFailed) as caught:
        Programs(say=lambda _: None).run("sleep", "30", seconds_max=0.05)
    assert caught.value.code == "program-slow"


class Arrays(Host):
    """Two block devices of this machine stand for members; only what mdadm is told is looked at."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        blocks = [path for path in Path("/dev").glob("loop[0-9]*") if path.is_block_device()][-2:]
        if len(blocks) < 2:
            pytest.skip("this machine has no two loop devices")
        self.dev = directory / "dev"
        self.dev.mkdir()
        for name, block in zip(("xvda", "xvdb"), blocks, strict=True):
            (self.dev / name).symlink_to(block)
        self.members = " ".join(map(str, blocks))
        self.program("mdadm")

    def create(self, *, erase: bool = False) -> dict[str, Any]:
        array = {"device": "/dev/md0", "level": "1", "devices": ["/dev/xvda", "/dev/xvdb"]}
        mounts = [{"path": "/d", "device": "/dev/md0", "file_system": "ext4", "options": [], "erase": erase}]
        return self.ask({"type": "storage", "arrays": [array], "mounts": mounts if erase else []})


@pytest.fixture
def arrays(tmp_path: Path) -> Arrays:
    return Arrays(tmp_path)


def test_an_array_is_created_from_blank_members(arrays: Arrays) -> None:
    arrays.program("blkid", ends=2)
    assert arrays.create() == {"done": ["created /dev/md0"]}
    assert arrays.called()[-1] == f"mdadm --create /dev/md0 --run --level=1 --raid-devices=2 {arrays.members}"


def test_an_array_that_was_there_before_is_assembled_and_never_created_again(arrays: Arrays) -> None:
    arrays.program("blkid", prints="linux_raid_member")
    assert arrays.create() == {"done": ["assembled /dev/md0"]}
    assert arrays.called()[-1] == f"mdadm --assemble /dev/md0 {arrays.members}"


def test_a_member_with_data_is_not_overwritten_unless_the_mount_may_be_erased(arrays: Arrays) -> None:
    arrays.program("blkid", prints="ext4")
    assert arrays.create()["failed"]["code"] == "array-would-overwrite"
    assert not any("mdadm" in call for call in arrays.called())
    arrays.create(erase=True)
    assert any("mdadm --create" in call for call in arrays.called())


def test_an_array_that_was_half_made_is_made_anew_only_if_its_mount_may_be_erased(arrays: Arrays) -> None:
    """mdadm was killed after it had written to the first member."""
    first = arrays.members.split()[0]
    blkid = f'#!/bin/sh\ncase "$*" in *" TYPE {first}") echo linux_raid_member ;; *) exit 2 ;; esac\n'
    (arrays.bin / "blkid").write_text(blkid, encoding="ascii")
    (arrays.bin / "blkid").chmod(0o755)
    failed = arrays.create()["failed"]
    assert (failed["code"], "erase_on_boot" in failed["fix"]) == ("array-incomplete", True)
    assert arrays.called() == []
    arrays.create(erase=True)
    assert any("mdadm --create" in call for call in arrays.called())


def test_an_existing_array_is_not_changed(arrays: Arrays) -> None:
    (arrays.dev / "md0").symlink_to("/dev/null")
    assert arrays.create() == {"done": []}
    assert arrays.called() == []
