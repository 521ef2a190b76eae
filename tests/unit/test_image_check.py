"""What must not be in an image is found, each thing by itself; and clean.sh removes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from landscape.whole import ROOT

CHECK, CLEAN = ROOT / "packaging/ami/check.py", ROOT / "packaging/ami/clean.sh"
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nbm90IGEga2V5\n-----END OPENSSH PRIVATE KEY-----\n"
LEFT = (
    ("etc/machine-id", "0123456789abcdef0123456789abcdef\n", "the machine's id"),
    ("var/lib/dbus/machine-id", "0123456789abcdef0123456789abcdef\n", "the machine's id"),
    ("etc/hostname", "ip-10-0-0-7\n", "another machine's name"),
    ("etc/ssh/ssh_host_ed25519_key", "x\n", "a host key of sshd"),
    ("root/.ssh/authorized_keys", "ssh-ed25519 AAAA builder\n", "a key that opens every instance"),
    ("home/admin/.ssh/authorized_keys", "ssh-ed25519 AAAA builder\n", "a key that opens every instance"),
    ("root/.aws/credentials", "[default]\n", "AWS credentials"),
    ("root/.docker/config.json", "{}", "logins"),
    ("root/.netrc", "machine x\n", "logins"),
    ("root/.bash_history", "ls\n", "a shell's history"),
    ("var/lib/whence-agent/instance.key", "x", "the state of another machine's agent"),
    ("var/lib/whence-agent/outbox/00000001.json", "{}", "statements of another machine"),
    ("var/lib/whence-agent/container/credentials/user.json", "{}", "the state of another machine's agent"),
    ("var/lib/docker/containers/abc/config.v2.json", "{}", "another machine's engine"),
    ("var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db", "x", "another machine's engine"),
    ("var/lib/systemd/random-seed", "x" * 32, "a random seed"),
    ("var/lib/systemd/credential.secret", "x", "the key of systemd's credentials"),
    ("var/lib/cloud/instance/user-data.txt", "#taupage-ami-config\n", "another machine's user data"),
    ("var/lib/dhcp/dhclient.eth0.leases", "lease {}\n", "leases of another machine"),
    ("var/lib/apt/lists/deb.example.org_debian_dists_bookworm_InRelease", "x", "what apt downloaded"),
    ("var/cache/apt/archives/docker.io_20_amd64.deb", "x", "what apt downloaded"),
    ("var/cache/apt/pkgcache.bin", "x", "what apt downloaded"),
    ("var/log/syslog", "x", "a log"),
    ("var/log/journal/0123/system.journal", "x", "a log"),
    ("root/.ssh/keys/id", "x", "a key that opens every instance"),
    ("root/.aws/sso/cache/token.json", "{}", "AWS credentials"),
    ("home/admin/.docker/contexts/meta.json", "{}", "logins"),
    ("root/.config/gh/hosts.yml", "oauth_token: x\n", "logins"),
    ("root/.git-credentials", "x\n", "logins"),
    ("root/.pgpass", "x\n", "logins"),
    ("home/admin/.kube/config", "x\n", "logins"),
    ("root/.gnupg/private-keys-v1.d/A.key", "x", "logins"),
    ("root/.viminfo", "x", "a shell's history"),
    ("root/.local/share/fish/fish_history", "x", "a shell's history"),
    ("var/lib/whence-agent/spool/a/b.json", "{}", "the state of another machine's agent"),
    ("var/lib/NetworkManager/secret_key", "x", "leases of another machine"),
    ("etc/.resolv.conf.systemd-resolved.bak", "nameserver 10.0.0.2\n", "the name servers of another machine"),
    ("etc/udev/rules.d/70-persistent-net.rules", "x", "the network of another machine"),
    ("etc/netplan/50-cloud-init.yaml", "network: {}\n", "the network of another machine"),
    ("etc/network/interfaces.d/50-cloud-init", "auto eth0\n", "the network of another machine"),
    ("etc/NetworkManager/system-connections/wifi.nmconnection", "x", "the network of another machine"),
    ("etc/iscsi/initiatorname.iscsi", "InitiatorName=iqn.1993-08.org.debian:01:1\n", "another machine's name"),
    ("etc/nvme/hostid", "x\n", "another machine's name"),
    ("etc/initramfs-tools/conf.d/resume", "RESUME=UUID=1\n", "another machine's swap"),
    ("swapfile", "x", "another machine's swap"),
    ("var/lib/systemd/coredump/core.sshd.zst", "x", "another machine's memory"),
    ("var/crash/a.crash", "x", "another machine's memory"),
    ("var/spool/cron/crontabs/root", "@reboot x\n", "jobs of another machine"),
    ("var/spool/cron/atjobs/a1", "x", "jobs of another machine"),
    ("var/mail/root", "x", "mail of another machine"),
    ("var/lib/amazon/ssm/Vault/Store/RegistrationKey", "x", "registration at Systems Manager"),
    ("var/cache/debconf/passwords.dat", "Name: a/password\nValue: x\n", "passwords that packages"),
    ("tmp/build/left", "x", "a temporary file"),
    ("var/tmp/left", "x", "a temporary file"),
)
"""(place, content, what is said), each of which clean.sh removes."""
OF_A_BUILDER = (
    ("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", "what keeps services from starting"),
    ("usr/lib/whence-aggregator/whence_aggregator/cli.py", "x", "part of the aggregator"),
    ("etc/whence/aggregator.yaml", "{}\n", "part of the aggregator"),
    ("etc/resolv.conf", "nameserver 10.0.0.2\n", "the name servers of another machine"),
    ("etc/shadow", "root:$6$salt$hash:1:0:99999:7:::\n", "the user root has a password"),
    ("etc/shadow", "root::1:0:99999:7:::\n", "the user root has no password"),
    ("etc/whence/tls.key", KEY, "a private key"),
    ("etc/whence/log.key", "PRIVATE+KEY+whence+00000000+AAAA\n", "a private key"),
    ("etc/profile.d/aws.sh", "export AWS_ACCESS_KEY_ID=AKIA" + "A" * 16 + "\n", "an access key of AWS"),
    ("etc/whence/docker.json", '{"auths": {"registry.example.org": {"auth": "dTpw"}}}\n', "a registry's login"),
    ("etc/passwd", "root::0:0:root:/root:/bin/sh\n", "the user root has no password"),
    ("etc/whence/aws.ini", "aws_secret_access_key = abc\n", "an access key of AWS"),
    ("etc/wireguard/wg0.conf", "[Interface]\nPrivateKey = abc=\n", "the key of a tunnel"),
    ("etc/environment", "https_proxy=http://ci:hunter2@proxy.example.org:3128\n", "a login in a URL"),
    ("root/pip.conf", "index-url = https://ci:hunter2@pypi.example.org/simple\n", "a login in a URL"),
    ("etc/apt/auth.conf.d/own.conf", "machine apt.example.org login ci password x\n", "a login at an archive"),
    ("etc/mdadm/mdadm.conf", "ARRAY /dev/md0 metadata=1.2 UUID=1\n", "arrays of another machine"),
    ("etc/apt/apt.conf.d/91", 'Acquire { http { Proxy "http://proxy.example.org:3128"; }; };\n', "the proxy"),
    (
        "etc/apt/apt.conf.d/90proxy",
        'Acquire::http::Proxy "http://proxy.example.org:3128";\n',
        "the proxy of the machine",
    ),
)
"""What a person or a program put there; nobody removes it unasked."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root that is clean: an empty id, locked passwords, directories of logs, the agent's settings."""
    for place in ("var/log/journal", "var/lib/apt/lists/partial", "var/lib/whence-agent", "tmp", "var/tmp", "root"):
        (tmp_path / place).mkdir(parents=True)
    for place, content in (
        ("etc/machine-id", ""),
        ("etc/shadow", "root:!*:1:0:99999:7:::\nwhence-agent:!*:1::::::\n"),
        ("etc/whence/agent.yaml", "aggregator_url: https://whence.example.org\n"),
        ("etc/apt/apt.conf.d/01autoremove", "APT {}\n"),
        ("etc/passwd", "root:x:0:0:root:/root:/bin/bash\nold:*:9:9::/:/usr/sbin/nologin\n"),
        ("etc/mdadm/mdadm.conf", "# ARRAY is written by mkconf\nHOMEHOST <system>\n"),
        ("etc/wgetrc", "#https_proxy = http://proxy.example.org:3128/\n"),
        ("var/cache/debconf/passwords.dat", ""),
    ):
        write(tmp_path, place, content)
    (tmp_path / "etc/resolv.conf").symlink_to("/run/systemd/resolve/stub-resolv.conf")
    return tmp_path


def write(root: Path, place: str, content: str) -> None:
    path = root / place
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def checked(root: Path) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-IS", CHECK, root], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_a_clean_root_passes(root: Path) -> None:
    assert checked(root) == (0, "clean: the root holds nothing of the machine that made it\n")


@pytest.mark.parametrize(("place", "content", "said"), LEFT)
def test_what_a_machine_leaves_is_found_and_then_cleaned(root: Path, place: str, content: str, said: str) -> None:
    write(root, place, content)
    code, output = checked(root)
    assert code == 1
    assert f"/{place}: " in output
    assert said in output
    assert "run clean.sh" in output
    subprocess.run([CLEAN, root], check=True)
    assert checked(root)[0] == 0


@pytest.mark.parametrize(("place", "content", "said"), OF_A_BUILDER)
def test_what_a_builder_put_there_is_found_and_left_for_the_builder(
    root: Path, place: str, content: str, said: str
) -> None:
    write(root, place, content)
    code, output = checked(root)
    assert code == 1
    assert f"/{place}: " in output
    assert said in output
    subprocess.run([CLEAN, root], check=True)
    assert checked(root)[0] == 1


def test_every_finding_is_stated_at_once(root: Path) -> None:
    for place, content, _ in LEFT[:3]:
        write(root, place, content)
    assert checked(root)[1].count("\n") == 3


def test_a_secret_is_named_and_not_shown(root: Path) -> None:
    write(root, "etc/whence/tls.key", KEY)
    assert "bm90IGEga2V5" not in checked(root)[1]


def test_cleaning_keeps_the_settings_and_the_directories(root: Path) -> None:
    write(root, "var/log/chrony/measurements.log", "x")
    subprocess.run([CLEAN, root], check=True)
    assert (root / "etc/whence/agent.yaml").is_file()
    assert (root / "var/log/chrony").is_dir()
    assert (root / "var/log/journal").is_dir()


def test_a_link_out_of_the_root_is_not_followed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "kept"
    outside.write_text(KEY, encoding="utf-8")
    (root / "etc/whence/link.key").symlink_to(outside)
    (root / "tmp/link").symlink_to(outside.parent)
    mine = outside.parent / ".aws/credentials"
    mine.parent.mkdir()
    mine.write_text("mine", encoding="utf-8")
    for place in ("etc/machine-id", "var/cache/debconf/passwords.dat"):
        (root / place).unlink(missing_ok=True)
        (root / place).symlink_to(mine)
    (root / "home").mkdir()
    (root / "home/ci").symlink_to(outside.parent)
    subprocess.run([CLEAN, root], check=True)
    assert outside.is_file()
    assert mine.read_text(encoding="utf-8") == "mine"
    (root / "home/ci").unlink()
    assert checked(root)[0] == 0


@pytest.mark.parametrize("arguments", [(), ("/nowhere",), ("/etc", "/tmp")])
def test_a_wrong_call_checks_nothing(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, CHECK, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 64
    assert "usage: check.py ROOT" in done.stderr
