"""Files of keys that commits are verified with are checked line by line, as ssh-keygen and gpg would read them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from whence_aggregator.check.commit_keys import check_commit_keys, wrong_openpgp, wrong_revocations, wrong_signers
from whence_aggregator.check.findings import SettingsProblems
from whence_aggregator.settings.places import CommitTrustSettings
from whence_aggregator.settings.server import read_settings

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPlJ6vKxJ3uW5X1rfqfMrK1OFzyX6ZHnTmnnzFsQfDyX"
PASSWD = b"root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
NO_LINE = "this is no line of principals, options and a public key"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (f"ada@example.org {KEY}\n", []), (f"# people\n\nada@example.org,*@b.c {KEY} ada's laptop\n", []),
        (f'ada@example.org namespaces="git,file",valid-before="20301231" {KEY}\n', []),
        (f"*@example.org cert-authority {KEY}\r\n", []), (f'"Ada A" {KEY}\n', []),
        ("", [(1, "it contains no key")]), ("# nobody yet\n", [(1, "it contains no key")]),
        (f"ada@example.org {KEY}\nbob@example.org\n{KEY}\n", [(2, NO_LINE), (3, NO_LINE)]),
        (f"ada@example.org no-pty {KEY}\n",
         [(1, "an option is none of cert-authority, namespaces, valid-after and valid-before")]),
        (f"ada@example.org {KEY[:-1]}\n", [(1, "the key is not base64")]),
        (f"ada@example.org ssh-rsa {KEY.split()[1]}\n", [(1, "the key is not of the type named")]),
        ("a " * 20_000, [(1, NO_LINE)]),
    ],
)  # fmt: skip
def test_each_line_of_allowed_signers_has_a_principal_and_a_key(text: str, wrong: list[tuple[int, str]]) -> None:
    assert wrong_signers(text.encode()) == wrong


def test_another_text_is_no_file_of_keys() -> None:
    assert wrong_signers(PASSWD) == [(1, NO_LINE), (2, NO_LINE)]
    assert wrong_revocations(PASSWD) == [(1, "this is no public key")]
    assert wrong_revocations(KEY.encode() + b"\n" + PASSWD) == [(2, "this is no public key")]
    assert wrong_revocations(KEY.encode() + b" ada\n") == []
    for content in (PASSWD, b"", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n", b"\xff\xff", b"\x99\x01\x00abc"):
        assert wrong_openpgp(content) == [(1, "it contains no OpenPGP public keys")]


def test_what_ssh_keygen_writes_is_accepted(tmp_path: Path) -> None:
    for kind in ("ed25519", "ecdsa", "rsa"):
        file = tmp_path / kind
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(file)], check=True)
        public = Path(f"{file}.pub").read_bytes()
        assert wrong_signers(b"ada@example.org " + public) == wrong_revocations(public) == []


def test_what_gpg_exports_is_accepted_and_a_private_key_is_not(tmp_path: Path) -> None:
    def gpg(*arguments: str) -> bytes:
        home = ["gpg", "--homedir", str(tmp_path), "--batch", "--quiet", "--passphrase", ""]
        return subprocess.run([*home, *arguments], check=True, capture_output=True).stdout

    gpg("--quick-generate-key", "Ada <ada@example.org>", "ed25519")
    for armour in ((), ("--armor",)):
        assert wrong_openpgp(gpg(*armour, "--export")) == []
        assert wrong_openpgp(gpg(*armour, "--export-secret-keys")) == [(1, "it contains a private key")]


def test_a_wrong_or_missing_file_is_an_error_with_file_and_line(tmp_path: Path) -> None:
    file, missing = tmp_path / "signers", tmp_path / "none"
    file.write_bytes(PASSWD)
    content = b"audience: https://whence.example.org\naccounts: ['123456789012']\ncommit_trust: {g.example.org: {}}\n"
    content = content.replace(b"{}", b"{allowed_signers_file: /a}")
    findings = SettingsProblems(read_settings(content, name="a.yaml", credentials_directory=None))
    keys = CommitTrustSettings(
        allowed_signers_file=str(file), openpgp_key_files=[str(missing)], host_key_files=[str(file)]
    )
    check_commit_keys(findings, "g.example.org", keys)
    assert [(one.severity, one.line, one.message) for one in findings.problems] == [
        ("error", 3, f"commit_trust.g.example.org.allowed_signers_file: {file}:1: {NO_LINE}"),
        ("error", 3, f"commit_trust.g.example.org.allowed_signers_file: {file}:2: {NO_LINE}"),
        ("error", 3,
         f"commit_trust.g.example.org.openpgp_key_files: {missing} cannot be read: No such file or directory"),
        ("error", 3, f"commit_trust.g.example.org.host_key_files: {file}:1: it contains no OpenPGP public keys"),
    ]  # fmt: skip
