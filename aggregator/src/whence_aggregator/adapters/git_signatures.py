"""Signatures of commits, verified by Git with the keys that are trusted for an organisation or team.

NOTE: Git tests the validity of an SSH key against the committer's time, which the signer chooses. Therefore a signature
counts as good only if the key is also valid now; a key is retired by revocation.
"""

from __future__ import annotations

import base64
import binascii
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from whence_aggregator.adapters.git_clone import GitClone
from whence_aggregator.adapters.git_process import GitRoad
from whence_aggregator.collect.commit_object import form_of
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.ports_commits import SignatureAnswer, SignatureForm, SignatureState
from whence_common.clock import Now, utc_now
from whence_common.errors import one_line
from whence_common.scm_source import SourceRepository

KEYS_BYTES_MAX = 4 * 1024 * 1024
"""Of one file of trusted keys."""
_HEAD_BYTES_MAX = 256 * 1024
_SSH_GOOD = re.compile(r'^Good "git" signature for (.+) with \S+ key (SHA256:\S+)$', re.MULTILINE)
_SSH_UNLISTED = re.compile(r'^Good "git" signature with \S+ key (SHA256:\S+)$', re.MULTILINE)
_SSH_WRONG = ("incorrect signature", "not permitted for use in signature namespace")
REVOKED_LISTS = re.compile(
    rb"\ASSHKRL\n\0|\A(?:(?:[ \t]*|[ \t]*#[^\n]*|[a-z0-9@.-]+ [A-Za-z0-9+/]+=*(?: [^\n]*)?)\r?(?:\n|\Z))*\Z"
)
"""What ssh-keygen accepts: its binary list, or public keys, one a line. It refuses every signature for any other."""
_STATUS = re.compile(r"^\[GNUPG:\] ([A-Z_]+)(?: (.*))?$", re.MULTILINE)
_ENDS = re.compile(r'valid-before="?([0-9]{8}(?:[0-9]{4}(?:[0-9]{2})?)?)Z?"?')
_GPG_CONF = (
    "no-default-keyring\nkeyring {keyring}\ntrust-model always\nno-auto-key-retrieve\nno-auto-check-trustdb\n"
    "lock-never\nno-autostart\ndisable-dirmngr\nno-greeting\n"
)
_ARMOUR = re.compile(
    rb"-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n(?:[^\r\n]+\r?\n)*\r?\n(.*?)\r?\n=[^\r\n]*\r?\n-----END PGP PUBLIC KEY",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitKeys:
    """The keys of one organisation or team. The files are read at each verification."""

    allowed_signers_file: str = ""
    revoked_keys_file: str = ""
    """Revoked SSH keys, one a line, or a key revocation list of ssh-keygen."""
    openpgp_key_files: tuple[str, ...] = ()
    host_key_files: tuple[str, ...] = ()
    """OpenPGP keys of the code host itself: it signs what anybody commits in its pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitTrust:
    """Keys by host and the beginning of the path: `github.com/acme` applies to all repositories of acme."""

    keys: Mapping[str, CommitKeys] = field(default_factory=dict)
    now: Now = utc_now

    def of(self, repository: SourceRepository) -> CommitTrust:
        """Return the keys that apply to a repository: those of the longest beginning, under an empty name.

        Case is ignored where no beginning is written in the same way: on most servers both are one repository, and the
        other spelling must not lead to the keys of more people.
        """
        parts = str(repository).split("/")
        folded = {place.lower(): keys for place, keys in self.keys.items()}
        for length in range(len(parts), 0, -1):
            place = "/".join(parts[:length])
            found = self.keys.get(place) or folded.get(place.lower())
            if found is not None:
                return CommitTrust(keys={"": found}, now=self.now)
        return CommitTrust(now=self.now)


async def verified(clone: GitClone, trust: CommitTrust, commit_id: str) -> SignatureAnswer:
    """Return what Git finds about a commit's signature. Raises SourceUnavailable when it cannot be run."""
    form = form_of(await clone.git("cat-file", "commit", commit_id, bytes_max=_HEAD_BYTES_MAX))
    keys = trust.keys.get("", CommitKeys())
    if form == "none":
        return SignatureAnswer(state="none", form=form)
    if form == "ssh" and keys.allowed_signers_file:
        return await _ssh(clone, keys, trust.now(), commit_id)
    if form == "openpgp" and (keys.openpgp_key_files or keys.host_key_files):
        return await _openpgp(clone, keys, commit_id)
    if form in ("ssh", "openpgp"):
        kind = "SSH" if form == "ssh" else "OpenPGP"
        return _unknown(form, f"no {kind} keys are trusted for {clone.repository} in `commit_trust`")
    return _unknown(form, "only SSH and OpenPGP signatures are verified")


async def _ssh(clone: GitClone, keys: CommitKeys, now: datetime, commit_id: str) -> SignatureAnswer:
    signers = _file(keys.allowed_signers_file).decode("utf-8", "replace")
    found = await _with_signers(clone, keys, signers, commit_id)
    if found.state == "unknown" and keys.revoked_keys_file:
        return await _perhaps_revoked(clone, keys, signers, commit_id)
    valid = _valid_at(signers, now)
    if found.state != "good" or valid == signers:
        return found
    again = await _with_signers(clone, keys, valid, commit_id)
    if again.state == "good":
        return again
    return SignatureAnswer(
        state="unknown", form="ssh", signer=found.signer, key=found.key, expired=True,
        reason="the key is no longer valid; that it was when it signed is known from the commit's own time only",
    )  # fmt: skip


async def _perhaps_revoked(clone: GitClone, keys: CommitKeys, signers: str, commit_id: str) -> SignatureAnswer:
    """Return `bad` for a revoked key. ssh-keygen says no more about it than about a list that it cannot read."""
    if REVOKED_LISTS.match(_file(keys.revoked_keys_file)) is None:
        return _unknown("ssh", f"{keys.revoked_keys_file} is not a list of revoked keys")
    without = CommitKeys(allowed_signers_file=keys.allowed_signers_file)
    found = await _with_signers(clone, without, signers, commit_id)
    if found.state not in ("good", "unknown key"):
        return found
    return SignatureAnswer(state="bad", form="ssh", key=found.key, reason="the key is revoked")


async def _with_signers(clone: GitClone, keys: CommitKeys, signers: str, commit_id: str) -> SignatureAnswer:
    with _ssh_files(keys, signers) as settings:
        return _of_ssh(*await _verify(clone, commit_id, GitRoad(settings=settings)))


@contextmanager
def _ssh_files(keys: CommitKeys, signers: str) -> Iterator[tuple[str, ...]]:
    """Yield Git's settings for copies of the files: those named in the settings may change meanwhile."""
    with tempfile.TemporaryDirectory(prefix="whence-keys-") as directory:
        allowed, revoked = Path(directory, "allowed_signers"), Path(directory, "revoked")
        allowed.write_text(signers, encoding="utf-8")
        settings: tuple[str, ...] = ("gpg.ssh.program=ssh-keygen", f"gpg.ssh.allowedSignersFile={allowed}")
        if keys.revoked_keys_file:
            revoked.write_bytes(_file(keys.revoked_keys_file))
            settings = (*settings, f"gpg.ssh.revocationFile={revoked}")
        yield settings


def _of_ssh(status: int, said: str) -> SignatureAnswer:
    good, unlisted = _SSH_GOOD.search(said), _SSH_UNLISTED.search(said)
    if good is not None and status == 0:
        return SignatureAnswer(state="good", form="ssh", signer=good[1][:300], key=good[2])
    if good is not None or unlisted is not None:
        key = good[2] if good is not None else (unlisted[1] if unlisted is not None else "")
        return SignatureAnswer(
            state="unknown key", form="ssh", key=key, reason="the key is not in allowed_signers_file, or was not valid"
        )
    if any(sign in said for sign in _SSH_WRONG):
        return SignatureAnswer(state="bad", form="ssh", reason="the signature is not that of this commit")
    return _unknown("ssh", _last_line(said))


async def _openpgp(clone: GitClone, keys: CommitKeys, commit_id: str) -> SignatureAnswer:
    if keys.host_key_files:
        by_host = await _with_keys(clone, keys.host_key_files, commit_id)
        if by_host.state != "unknown key":
            return replace(by_host, by_host=True)
        if not keys.openpgp_key_files:
            return by_host
    return await _with_keys(clone, keys.openpgp_key_files, commit_id)


async def _with_keys(clone: GitClone, files: tuple[str, ...], commit_id: str) -> SignatureAnswer:
    with _gpg_home(files) as home:
        road = GitRoad(settings=("gpg.program=gpg", "gpg.openpgp.program=gpg"), variables={"GNUPGHOME": home})
        return _of_openpgp(*await _verify(clone, commit_id, road))


def _of_openpgp(status: int, said: str) -> SignatureAnswer:
    lines: dict[str, list[str]] = {}
    for name, rest in _STATUS.findall(said):
        lines.setdefault(name, []).append(rest)
    key = lines.get("VALIDSIG", lines.get("ERRSIG", [""]))[0].split(" ")[0][:80]

    def answer(state: SignatureState, name: str, reason: str = "", *, expired: bool = False) -> SignatureAnswer:
        signer = lines[name][0].partition(" ")[2][:300]
        return SignatureAnswer(state=state, form="openpgp", signer=signer, key=key, reason=reason, expired=expired)

    verdicts = [name for name in ("GOODSIG", "BADSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "ERRSIG") if name in lines]
    if len(verdicts) != 1 or len(lines[verdicts[0]]) != 1:
        return _unknown("openpgp", "gpg returned no verdict, or several" if verdicts else _last_line(said))
    match verdicts[0]:
        case "GOODSIG" if status == 0 and "VALIDSIG" in lines:
            return answer("good", "GOODSIG")
        case "BADSIG":
            return answer("bad", "BADSIG", "the signature is not that of this commit")
        case "REVKEYSIG":
            return answer("bad", "REVKEYSIG", "the key is revoked")
        case "EXPSIG" | "EXPKEYSIG" as name:
            reason = "the key or the signature has expired; that it was valid when it signed is known from itself only"
            return answer("unknown", name, reason, expired=True)
        case "ERRSIG" if "NO_PUBKEY" in lines:
            return SignatureAnswer(
                state="unknown key", form="openpgp", key=lines["NO_PUBKEY"][0][:80],
                reason="the key is in none of openpgp_key_files and host_key_files",
            )  # fmt: skip
    return _unknown("openpgp", "gpg could not check the signature")


async def _verify(clone: GitClone, commit_id: str, road: GitRoad) -> tuple[int, str]:
    status, _, error = await clone.run("verify-commit", "--raw", commit_id, road=road)
    return status, error


def _valid_at(signers: str, now: datetime) -> str:
    """Return allowed signers without those whose validity has ended."""
    return "".join(line for line in signers.splitlines(keepends=True) if not _has_ended(line, now))


def _has_ended(line: str, now: datetime) -> bool:
    match = _ENDS.search(line)
    if match is None:
        return False
    try:
        until = datetime.strptime(match[1].ljust(14, "0"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return True
    return until <= now


@contextmanager
def _gpg_home(files: tuple[str, ...]) -> Iterator[str]:
    """Yield a home of gpg in which the trusted keys are, and nothing else."""
    with tempfile.TemporaryDirectory(prefix="whence-keys-") as directory:
        keyring = Path(directory, "trusted.gpg")
        keyring.write_bytes(b"".join(binary_keys(_file(one), name=one) for one in files))
        Path(directory, "gpg.conf").write_text(_GPG_CONF.format(keyring=keyring), encoding="utf-8")
        yield directory


def binary_keys(content: bytes, *, name: str) -> bytes:
    """Return OpenPGP public keys as packets; armour is removed. Raises SourceUnavailable."""
    if not content.lstrip().startswith(b"-----BEGIN"):
        return content
    try:
        found = [base64.b64decode(one, validate=False) for one in _ARMOUR.findall(content)]
    except binascii.Error:
        found = []
    if not found:
        raise SourceUnavailable(
            "git-keys-unreadable", f"{name} contains no OpenPGP public keys", fix="write it with gpg --armor --export"
        )
    return b"".join(found)


def _file(name: str) -> bytes:
    try:
        with Path(name).open("rb") as stream:
            content = stream.read(KEYS_BYTES_MAX + 1)
    except OSError as exc:
        raise SourceUnavailable(
            "git-keys-unreadable", f"{name} cannot be read: {exc.strerror}", fix="let the aggregator read the file"
        ) from exc
    if len(content) > KEYS_BYTES_MAX:
        raise SourceUnavailable("git-keys-unreadable", f"{name} is larger than {KEYS_BYTES_MAX >> 20} MiB")
    return content


def _unknown(form: SignatureForm, reason: str) -> SignatureAnswer:
    return SignatureAnswer(state="unknown", form=form, reason=reason)


def _last_line(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith("[GNUPG:]")]
    return f"git could not verify it: {one_line(lines[-1], 200)}" if lines else "git could not verify it"
