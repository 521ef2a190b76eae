#!/usr/bin/python3 -IS
"""Check that a root holds nothing of the machine on which the image was made; print each finding, and exit 1.

    check.py /                      in the instance that Packer is about to stop
    check.py build/image/root       a root that `make image` made

It needs Python's standard library only, because it runs in the image itself. It changes nothing: clean.sh does.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

_SEARCHED = ("etc", "root", "home", "opt", "srv", "usr/local", "var/lib/whence-agent", "boot/grub")
_SEARCHED_BYTES_MAX = 1024 * 1024
_PRIVATE_KEY = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----|PRIVATE\+KEY\+")
_AWS_KEY = re.compile(rb"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|(?i:aws_secret_access_key)\s*[=:]\s*\S")
_TUNNEL_KEY = re.compile(rb"^\s*PrivateKey\s*=\s*\S", re.MULTILINE)
_LOGIN_OF_URL = re.compile(rb"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"'<>]{1,200}:[^\s/@\"'<>]{1,200}@", re.IGNORECASE)
_LOGIN = re.compile(rb'"(?:auth|identitytoken|registrytoken)"\s*:\s*"[^"]+"')
_PROXY = re.compile(rb'^[^/#\n]*\bProxy(?:-Auto-Detect)?(?:::\S+)?\s+"[^"]+"', re.IGNORECASE | re.MULTILINE)
_ARRAY = re.compile(rb"^\s*ARRAY\s", re.MULTILINE)
_HOSTS_OF_NOBODY = ("", "localhost")

Finding = tuple[str, str, str]
"""(place below the root, what is wrong, what to do)."""


def main(arguments: list[str]) -> int:
    """Check the root that is named; return 0 if it is clean, 1 if not, 64 for wrong usage."""
    if arguments in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        print("usage: check.py ROOT, where ROOT is a directory", file=sys.stderr)
        return 64
    findings = sorted(set(find(Path(arguments[0]))))
    for place, wrong, fix in findings:
        print(f"/{place}: {wrong}; {fix}")
    if not findings:
        print("clean: the root holds nothing of the machine that made it")
    return 1 if findings else 0


def find(root: Path) -> Iterator[Finding]:
    """Yield everything that must not be in an image."""
    for patterns, wrong in _LEFT_OVER:
        for pattern in patterns:
            for path in root.glob(pattern):
                if path.is_symlink() or path.is_file():
                    yield _relative(root, path), wrong, "run clean.sh"
    for check in _CHECKS:
        yield from check(root)


def _of_people(*places: str) -> tuple[str, ...]:
    """Return places in the homes of root and of others."""
    return tuple(f"{home}/{place}" for place in places for home in ("root", "home/*"))


_LEFT_OVER: tuple[tuple[tuple[str, ...], str], ...] = (
    (("etc/ssh/ssh_host_*",), "a host key of sshd, which every instance would share"),
    (_of_people(".ssh/**/*"), "a key that opens every instance"),
    (_of_people(".aws/**/*"), "AWS credentials"),
    (_of_people(".docker/**/*", ".dockercfg", ".netrc", ".git-credentials", ".pgpass", ".pypirc", ".npmrc", ".my.cnf",
                ".kube/**/*", ".gnupg/**/*", ".config/**/*"), "logins"),
    (_of_people(".*_history", ".viminfo", ".local/**/*", ".cache/**/*"), "a shell's history, or what a program kept"),
    (("var/lib/whence-agent/outbox*/**/*",), "statements of another machine"),
    (("var/lib/whence-agent/**/*",), "the state of another machine's agent"),
    (("var/lib/docker/**/*", "var/lib/containerd/**/*"), "images or containers of another machine's engine"),
    (("var/lib/systemd/random-seed", "boot/efi/loader/random-seed"), "a random seed, which every instance would share"),
    (("var/lib/systemd/credential.secret",), "the key of systemd's credentials, which every instance would share"),
    (("var/lib/cloud/**/*",), "another machine's user data, or what cloud-init made of it"),
    (("var/lib/dhcp/*", "var/lib/systemd/network/*", "var/lib/NetworkManager/*"), "leases of another machine"),
    (("etc/.resolv.conf.systemd-resolved.bak",), "the name servers of another machine"),
    (("etc/udev/rules.d/70-persistent-*", "etc/netplan/*", "etc/network/interfaces.d/*",
      "etc/NetworkManager/system-connections/*"), "the network of another machine"),
    (("etc/iscsi/initiatorname.iscsi", "etc/nvme/hostid", "etc/nvme/hostnqn"), "another machine's name for storage"),
    (("etc/initramfs-tools/conf.d/resume", "swapfile", "swap.img"), "another machine's swap"),
    (("var/lib/systemd/coredump/**/*", "var/lib/systemd/pstore/**/*", "var/crash/**/*"), "another machine's memory"),
    (("var/spool/cron/crontabs/*", "var/spool/cron/atjobs/*"), "jobs of another machine"),
    (("var/mail/*",), "mail of another machine"),
    (("var/lib/amazon/ssm/**/*",), "another machine's registration at Systems Manager"),
    (("var/lib/apt/lists/*_*", "var/cache/apt/archives/*.deb", "var/cache/apt/*.bin"), "what apt downloaded"),
    (("var/log/**/*",), "a log"),
    (("tmp/**/*", "var/tmp/**/*"), "a temporary file"),
    (("usr/sbin/policy-rc.d",), "what keeps services from starting while the image is made"),
    (("usr/lib/whence-aggregator/**/*", "etc/whence/aggregator.yaml"), "part of the aggregator"),
)  # fmt: skip
"""Places of files, and what they are. Directories may stay."""


def _machine_id(root: Path) -> Iterator[Finding]:
    for place in ("etc/machine-id", "var/lib/dbus/machine-id"):
        path = root / place
        if path.is_symlink() or not path.exists():
            continue
        if path.read_bytes().strip() not in (b"", b"uninitialized"):
            yield place, "the machine's id, which every instance would share", "run clean.sh"


def _host_name(root: Path) -> Iterator[Finding]:
    path = root / "etc/hostname"
    if path.is_file() and path.read_text(encoding="utf-8", errors="replace").strip() not in _HOSTS_OF_NOBODY:
        yield "etc/hostname", "another machine's name", "run clean.sh"


def _resolver(root: Path) -> Iterator[Finding]:
    path = root / "etc/resolv.conf"
    if path.is_file() and not path.is_symlink() and b"nameserver" in path.read_bytes():
        yield (
            "etc/resolv.conf",
            "the name servers of another machine",
            "link it to systemd-resolved, as provision.sh does",
        )


def _passwords(root: Path) -> Iterator[Finding]:
    for place, locked in (("etc/shadow", ("*", "!")), ("etc/shadow-", ("*", "!")), ("etc/passwd", ("x", "*", "!"))):
        path = root / place
        if not path.is_file():
            continue
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, rest = line.partition(":")
            password = rest.partition(":")[0]
            if not password.startswith(locked):
                wrong = "no password" if password == "" else "a password"
                yield place, f"the user {name} has {wrong}", f"run passwd --lock {name}"


def _secrets(root: Path) -> Iterator[Finding]:
    for place in _SEARCHED:
        for path in sorted((root / place).rglob("*")):
            if path.is_symlink() or not path.is_file() or path.stat().st_size > _SEARCHED_BYTES_MAX:
                continue
            content = path.read_bytes()
            for pattern, wrong in ((_PRIVATE_KEY, "a private key"), (_AWS_KEY, "an access key of AWS"),
                                   (_LOGIN, "a registry's login"), (_TUNNEL_KEY, "the key of a tunnel"),
                                   (_LOGIN_OF_URL, "a login in a URL")):  # fmt: skip
                if pattern.search(content):
                    yield _relative(root, path), wrong, "remove it; instances receive secrets by their role"


def _proxy(root: Path) -> Iterator[Finding]:
    for path in sorted((root / "etc/apt").rglob("*.conf")) + sorted((root / "etc/apt/apt.conf.d").glob("*")):
        if path.is_file() and _PROXY.search(path.read_bytes()):
            yield _relative(root, path), "the proxy of the machine that made the image", "remove it"


def _logins_of_apt(root: Path) -> Iterator[Finding]:
    for path in (root / "etc/apt/auth.conf", *sorted((root / "etc/apt/auth.conf.d").glob("*"))):
        if path.is_file() and path.stat().st_size:
            yield _relative(root, path), "a login at an archive of packages", "remove it"


def _arrays(root: Path) -> Iterator[Finding]:
    path = root / "etc/mdadm/mdadm.conf"
    if path.is_file() and _ARRAY.search(path.read_bytes()):
        yield "etc/mdadm/mdadm.conf", "arrays of another machine", "remove the lines, and run update-initramfs -u"


def _answers(root: Path) -> Iterator[Finding]:
    path = root / "var/cache/debconf/passwords.dat"
    if path.is_file() and path.stat().st_size:
        yield "var/cache/debconf/passwords.dat", "passwords that packages were installed with", "run clean.sh"


_CHECKS: tuple[Callable[[Path], Iterator[Finding]], ...] = (
    _machine_id, _host_name, _resolver, _passwords, _secrets, _proxy, _logins_of_apt, _arrays, _answers,
)  # fmt: skip


def _relative(root: Path, path: Path) -> str:
    return str(path.relative_to(root))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
