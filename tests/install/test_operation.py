"""What the README says about TLS, low ports, a private authority and `check`, done in a booted root."""

from __future__ import annotations

import shlex
import shutil
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from fakes.signing_authority import SigningAuthority
from landscape.certificates import loopback_certificates
from landscape.machines import booted
from landscape.processes import NotReady, answers, run
from landscape.whole import ROOT
from whence_common.runtime.pause import pause

_UNIT = "whence-aggregator"
pytestmark = pytest.mark.timeout(900)
"""The packages are built and a root made first: both download."""


def free_low_port() -> int:
    """Give a loopback port below 1024 that nobody listens on."""
    for port in range(1023, 600, -1):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise NotReady("no loopback port below 1024 is free")


def documented(beginning: str) -> list[str]:
    """Give the one command of the README that begins so."""
    text = (ROOT / "aggregator/README.md").read_text(encoding="utf-8")
    (command,) = [line for line in text.splitlines() if line.startswith(beginning)]
    return shlex.split(command)


async def configured(root: Path, port: int, authority: SigningAuthority, work: Path) -> list[str]:
    """Write settings with TLS as the README shows them; give their lines."""
    settings = root / "etc/whence"
    made = await loopback_certificates(work)
    shutil.copyfile(made.authority, settings / "ca.pem")
    for source, name in ((made.certificate, "tls.crt"), (made.key, "tls.key")):
        shutil.copyfile(source, settings / "credentials" / name)
        (settings / "credentials" / name).chmod(0o600)
    (settings / "authorities").mkdir(exist_ok=True)
    (settings / "authorities/eu-central-1.pem").write_bytes(authority.pem)
    lines = [
        "audience: https://whence.example.org",
        'accounts: ["123456789012"]',
        "sts: 'off'",
        "authorities_directory: /etc/whence/authorities",
        f"listen_port: {port}",
        "tls_certificate_file: ${CREDENTIALS_DIRECTORY}/whence_tls.crt",
        "tls_key_file: ${CREDENTIALS_DIRECTORY}/whence_tls.key",
    ]
    (settings / "aggregator.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return lines


async def test_tls_with_a_key_of_roots_a_port_below_1024_and_a_private_authority(
    copied_root: Path, authority: SigningAuthority, tmp_path: Path
) -> None:
    port, settings = free_low_port(), copied_root / "etc/whence"
    lines = await configured(copied_root, port, authority, tmp_path)
    token = (
        await run("chroot", copied_root, "whence-aggregator", "token", "ada", "--file", "/etc/whence/tokens")
    ).strip()
    check = documented("systemd-run ")
    async with booted(copied_root, tmp_path) as machine:
        code, output = await machine.said(*check)
        assert (code, output.splitlines()[-1]) == (0, "/etc/whence/aggregator.yaml: 0 errors, 1 warnings"), output
        assert "aggregator.yaml:6:1: warning[tls-expiry]" in output  # our certificate is for two days

        await machine.run("systemctl", "start", _UNIT)
        while not await answers(port):
            assert (await machine.unit(_UNIT, "active"))["NRestarts"] == "0"
            await pause(0.1)
        url = f"https://127.0.0.1:{port}"  # a bare root has no /etc/hosts
        whence = ("env", f"WHENCE_TOKEN={token}", f"WHENCE_URL={url}", "whence")
        code, output = await machine.said(*whence, "--ca-file", "/etc/whence/ca.pem", "instances")
        assert (code, "0 in total" in output) == (0, True), output
        assert (await machine.said(*whence, "instances"))[0] == 3
        assert (copied_root / "var/lib/private/whence-aggregator").stat().st_mode & 0o777 == 0o700

        code, output = await machine.said(*check)
        assert code == 0, output  # what runs there is ours
        assert f"aggregator.yaml:5:1: warning[listen-port]: listen_port: port {port}" in output
        await machine.run("systemctl", "stop", _UNIT)

        # Everything that is wrong is found at once, as the service's user.
        (settings / "tokens").chmod(0o600)
        (settings / "credentials/tls.key").write_bytes((settings / "credentials/tls.crt").read_bytes())
        (settings / "aggregator.yaml").write_text(
            "\n".join(
                [*lines, "log_key_file: /etc/whence/log.key", "git_servers: {g.example.org: {login_file: /none}}"]
            ),
            encoding="utf-8",
        )
        code, output = await machine.said(*check)
        assert code == 78, output
        assert "/etc/whence/tokens cannot be read: Permission denied" in output
        assert "aggregator.yaml:7:1: error[tls-key]: tls_key_file: " in output
        assert "aggregator.yaml:8:1: error[directory-not-writable]: log_key_file: this user may not write in" in output
        assert "aggregator.yaml:9:31: error[login-unreadable]: git_servers.g.example.org.login_file" in output
        assert output.splitlines()[-1] == "/etc/whence/aggregator.yaml: 4 errors, 1 warnings"

        # A start dies of the first, once.
        assert (await machine.said("systemctl", "start", _UNIT))[0] in (0, 1)
        state = await machine.unit(_UNIT, "failed")
        assert (state["NRestarts"], state["ExecMainStatus"]) == ("0", "78")
        assert "/etc/whence/tokens cannot be read" in await machine.journal(_UNIT)


async def test_root_is_warned_of_what_only_root_reads(
    copied_root: Path, authority: SigningAuthority, tmp_path: Path
) -> None:
    await configured(copied_root, 7381, authority, tmp_path)
    await run("chroot", copied_root, "whence-aggregator", "token", "ada", "--file", "/etc/whence/tokens")
    (copied_root / "etc/whence/tokens").chmod(0o600)
    async with booted(copied_root, tmp_path) as machine:
        code, output = await machine.said("whence-aggregator", "check")
        assert code == 78
        assert "CREDENTIALS_DIRECTORY is not set: " in output
        assert "warning[readable-by-root-only]: tokens_file: only root can read /etc/whence/tokens" in output
        assert "/var/lib/whence-aggregator does not exist yet" in output
        code, output = await machine.said("whence-aggregator", "check", "--as-user", "nobody")
        assert "/etc/whence/tokens cannot be read: Permission denied" in output
        code, output = await machine.said("whence-aggregator", "check", "--as-user", "whence-aggregator")
        assert (code, "systemd-run" in output) == (77, True)
