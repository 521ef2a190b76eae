"""Check files of keys that commits are verified with: for another text, every signature stays unknown."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from whence_aggregator.adapters.git_signatures import KEYS_BYTES_MAX, REVOKED_LISTS, binary_keys
from whence_aggregator.check.findings import SettingsProblems
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.settings.places import CommitTrustSettings

_SIGNER = re.compile(
    r'\s*(?P<principals>"[^"]+"|[^\s"#]\S*)\s+(?:(?P<options>(?:[^\s"]|"[^"]*")+)\s+)??'
    r"(?P<type>[a-z0-9@.-]+)\s+(?P<key>[A-Za-z0-9+/]+={0,2})(?:\s.*)?\Z"
)
"""A line of ALLOWED SIGNERS in ssh-keygen(1)."""
_OPTION = re.compile(
    r'(cert-authority|(?:namespaces|valid-after|valid-before)=(?:"[^"]*"|[^",]*))(?:,|\Z)', re.IGNORECASE
)
_LINE_CHARACTERS_MAX = 16_384
_SHOWN_MAX = 5
_PUBLIC_KEY, _SECRET_KEY = 6, 5
"""Tags of packets (RFC 9580)."""


def check_commit_keys(findings: SettingsProblems, place: str, keys: CommitTrustSettings) -> None:
    """Report files that cannot be read or are not what they should be, with the line."""
    for name, path, wrong, fix in (
        ("allowed_signers_file", keys.allowed_signers_file, wrong_signers,
         "write lines like: ada@example.org ssh-ed25519 AAAA…, as in ssh-keygen(1)"),
        ("revoked_keys_file", keys.revoked_keys_file, wrong_revocations,
         "write public keys, one a line, or use ssh-keygen -k"),
        *((files, one, wrong_openpgp, "write it with gpg --armor --export")
          for files in ("openpgp_key_files", "host_key_files") for one in getattr(keys, files)),
    ):  # fmt: skip
        setting = f"commit_trust.{place}.{name}"
        content = findings.content(setting, path, bytes_max=KEYS_BYTES_MAX + 1) if path is not None else None
        if path is None or content is None:
            continue
        if len(content) > KEYS_BYTES_MAX:
            findings.error(f"{setting}: {path} is larger than {KEYS_BYTES_MAX >> 20} MiB", fix=fix, code="commit-keys")
            continue
        for line, message in wrong(content)[:_SHOWN_MAX]:
            findings.error(f"{setting}: {path}:{line}: {message}", fix=fix, code="commit-keys")


def wrong_signers(content: bytes) -> list[tuple[int, str]]:
    """Return the lines of a file of allowed signers that ssh-keygen does not accept, and why."""
    lines = content.decode("utf-8", "replace").splitlines()
    stated = [(number, one) for number, one in enumerate(lines, 1) if one.strip() and not one.lstrip().startswith("#")]
    if not stated:
        return [(1, "it contains no key")]
    return [(number, why) for number, one in stated if (why := _wrong_signer(one)) is not None]


def _wrong_signer(line: str) -> str | None:
    match = _SIGNER.match(line) if len(line) <= _LINE_CHARACTERS_MAX else None
    if match is None:
        return "this is no line of principals, options and a public key"
    options = match["options"] or ""
    while options:
        option = _OPTION.match(options)
        if option is None:
            return "an option is none of cert-authority, namespaces, valid-after and valid-before"
        options = options[option.end() :]
    try:
        key = base64.b64decode(match["key"], validate=True)
    except binascii.Error:
        return "the key is not base64"
    named = match["type"].encode()
    return (
        None if key[:4] == len(named).to_bytes(4) and key[4:].startswith(named) else "the key is not of the type named"
    )


def wrong_revocations(content: bytes) -> list[tuple[int, str]]:
    """Return the first line of a list of revoked keys that ssh-keygen does not accept."""
    if REVOKED_LISTS.match(content) is not None:
        return []
    lines = enumerate(content.split(b"\n"), 1)
    return [next((n, "this is no public key") for n, one in lines if REVOKED_LISTS.match(one) is None)]


def wrong_openpgp(content: bytes) -> list[tuple[int, str]]:
    """Return what is wrong with a file of OpenPGP public keys, on its first line."""
    if b"-----BEGIN PGP PRIVATE KEY" in content:
        return [(1, "it contains a private key")]
    try:
        tags = list(_packets(binary_keys(content, name="")))
    except (SourceUnavailable, ValueError, IndexError):
        return [(1, "it contains no OpenPGP public keys")]
    if _SECRET_KEY in tags:
        return [(1, "it contains a private key")]
    return [] if tags[:1] == [_PUBLIC_KEY] else [(1, "it contains no OpenPGP public keys")]


def _packets(content: bytes) -> Iterator[int]:
    """Yield the tags of packets. Raises ValueError or IndexError where the content is none."""
    place = 0
    while place < len(content):
        head = content[place]
        if not head & 0x80:
            raise ValueError("no packet")
        if head & 0x40:
            tag, (size, past) = head & 0x3F, _new_length(content, place + 1)
        else:
            wide = head & 3
            if wide == 3:
                raise ValueError("a length that is not stated")
            tag, past = head >> 2 & 0xF, place + 1 + (1 << wide)
            size = int.from_bytes(content[place + 1 : past])
        place = past + size
        if place > len(content):
            raise ValueError("a packet is cut")
        yield tag


def _new_length(content: bytes, place: int) -> tuple[int, int]:
    """Return a packet's length and where its content begins."""
    first = content[place]
    if first < 192:
        return first, place + 1
    if first < 224:
        return (first - 192 << 8) + content[place + 1] + 192, place + 2
    if first < 255:
        raise ValueError("a partial length")
    return int.from_bytes(content[place + 1 : place + 5]), place + 5
