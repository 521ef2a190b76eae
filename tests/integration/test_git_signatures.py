"""Signatures of commits made by real ssh-keygen and gpg, verified by Git with keys trusted per organisation or team."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from landscape.bare import Bare
from landscape.signed_commits import PgpKey, SshKey
from whence_aggregator.adapters.git_places import mirror_place
from whence_aggregator.adapters.git_process import GitRuns
from whence_aggregator.adapters.git_server import GitServerReader
from whence_aggregator.adapters.git_signatures import CommitKeys, CommitTrust, binary_keys
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.ports_commits import SignatureAnswer
from whence_common.scm_source import SourceRepository

HOST = "git.example.org"
APP = SourceRepository(host=HOST, path="acme/app")
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    (tmp_path / "mirrors" / "acme").mkdir(parents=True)
    return Bare(tmp_path / "mirrors" / "acme")


@pytest.fixture
def key(tmp_path: Path) -> SshKey:
    return SshKey(tmp_path, "key")


@pytest.fixture
def pgp() -> Iterator[Callable[..., PgpKey]]:
    made = []

    def make(mail: str, **more: str) -> PgpKey:
        made.append(PgpKey(mail, **more))
        return made[-1]

    yield make
    for one in made:
        one.end()


async def verify(
    tmp_path: Path,
    commit: str,
    *signers: str,
    revoked: str = "",
    pgp: tuple[str, ...] = (),
    host: tuple[str, ...] = (),
    place: str = f"{HOST}/acme",
) -> SignatureAnswer:
    allowed, revocations = tmp_path / "allowed_signers", tmp_path / "revoked"
    allowed.write_text("".join(f"{one}\n" for one in signers), encoding="ascii")
    revocations.write_text(f"{revoked}\n", encoding="ascii")
    keys = CommitKeys(
        allowed_signers_file=str(allowed) if signers else "",
        revoked_keys_file=str(revocations) if revoked else "",
        openpgp_key_files=pgp,
        host_key_files=host,
    )
    mirrors = mirror_place(HOST, directory=str(tmp_path / "mirrors"))
    trust = CommitTrust(keys={place: keys}, now=lambda: NOW)
    return await GitServerReader(runs=GitRuns(), places={HOST: mirrors}, trust=trust).signature(APP, commit)


async def test_a_commit_without_a_signature_has_none(tmp_path: Path, bare: Bare, key: SshKey) -> None:
    made = bare.commit("plain", branch="main")
    assert (await verify(tmp_path, made, f"ada@example.org {key.public}")).state == "none"


async def test_an_ssh_signature_of_a_listed_key_is_good_and_names_its_principal(
    tmp_path: Path, bare: Bare, key: SshKey
) -> None:
    found = await verify(tmp_path, key.sign(bare), f'ada@example.org namespaces="git" {key.public}')
    assert (found.state, found.form, found.signer) == ("good", "ssh", "ada@example.org")
    assert found.key.startswith("SHA256:")


async def test_a_key_that_is_listed_for_another_person_names_that_person(
    tmp_path: Path, bare: Bare, key: SshKey
) -> None:
    """Git does not compare the signer with the committer; the link of the trace does."""
    found = await verify(tmp_path, key.sign(bare, mail="ada@example.org"), f"eve@example.org {key.public}")
    assert (found.state, found.signer) == ("good", "eve@example.org")


async def test_an_ssh_key_that_is_not_listed_is_unknown(tmp_path: Path, bare: Bare, key: SshKey) -> None:
    other = SshKey(tmp_path, "other")
    found = await verify(tmp_path, key.sign(bare), f"ada@example.org {other.public}")
    assert (found.state, found.signer, found.key.startswith("SHA256:")) == ("unknown key", "", True)


async def test_a_revoked_ssh_key_is_bad_even_when_it_is_listed(tmp_path: Path, bare: Bare, key: SshKey) -> None:
    found = await verify(tmp_path, key.sign(bare), f"ada@example.org {key.public}", revoked=key.public)
    assert (found.state, found.reason) == ("bad", "the key is revoked")
    other = SshKey(tmp_path, "other")
    assert (await verify(tmp_path, bare.git("rev-parse", "main"), f"ada@example.org {key.public}",
                         revoked=f"# left in May\n{other.public} bob")).state == "good"  # fmt: skip


async def test_a_list_of_revoked_keys_that_is_broken_makes_no_signature_bad(
    tmp_path: Path, bare: Bare, key: SshKey
) -> None:
    found = await verify(tmp_path, key.sign(bare), f"ada@example.org {key.public}", revoked="<html>")
    assert (found.state, "is not a list of revoked keys" in found.reason) == ("unknown", True)


async def test_a_key_of_another_namespace_is_bad(tmp_path: Path, bare: Bare, key: SshKey) -> None:
    found = await verify(tmp_path, key.sign(bare), f'ada@example.org namespaces="file" {key.public}')
    assert found.state == "bad"


async def test_a_commit_changed_after_it_was_signed_is_bad(tmp_path: Path, bare: Bare, key: SshKey) -> None:
    content = bare.git("cat-file", "commit", key.sign(bare)) + "\n"
    changed = bare.git(
        "hash-object", "-w", "-t", "commit", "--stdin", given=content.replace("signed", "forged").encode()
    )
    bare.git("update-ref", "refs/heads/main", changed)
    assert (await verify(tmp_path, changed, f"ada@example.org {key.public}")).state == "bad"


async def test_a_backdated_commit_of_a_key_that_is_no_longer_valid_is_not_good(
    tmp_path: Path, bare: Bare, key: SshKey
) -> None:
    """Git tests valid-before against the committer's time, which the signer chooses: it calls this commit good."""
    backdated = key.sign(bare, date=1_600_000_000)
    found = await verify(tmp_path, backdated, f'ada@example.org valid-before="20250101Z" {key.public}')
    assert (found.state, found.expired, found.signer) == ("unknown", True, "ada@example.org")
    valid = await verify(tmp_path, backdated, f'ada@example.org valid-before="20300101Z" {key.public}')
    assert valid.state == "good"
    late = await verify(tmp_path, key.sign(bare), f'ada@example.org valid-before="20250101Z" {key.public}')
    assert late.state == "unknown key"


async def test_without_keys_for_its_owner_a_signature_is_unknown(tmp_path: Path, bare: Bare, key: SshKey) -> None:
    made, line = key.sign(bare), f"ada@example.org {key.public}"
    for place in ("git.example.org/acm", "other.example.org", "git.example.org/acme/app/x"):
        found = await verify(tmp_path, made, line, place=place)
        assert (found.state, "no SSH keys are trusted" in found.reason) == ("unknown", True)
    assert (await verify(tmp_path, made, line, place=HOST)).state == "good"
    assert (await verify(tmp_path, made, line, place=f"{HOST}/acme/app")).state == "good"


@pytest.mark.parametrize(
    ("path", "file"),
    [("acme/pay", "/pay"), ("ACME/Pay", "/pay"), ("acme/PAY/x", "/pay"), ("Other/App", "/other"), ("other/app", "/all"),
     ("acme/app", "/all")],
)  # fmt: skip
def test_another_spelling_of_a_path_does_not_lead_to_the_keys_of_more_people(path: str, file: str) -> None:
    places = {HOST: "/all", f"{HOST}/acme/pay": "/pay", f"{HOST}/Other": "/other", f"{HOST}/other": "/all"}
    trust = CommitTrust(keys={place: CommitKeys(allowed_signers_file=one) for place, one in places.items()})
    found = trust.of(SourceRepository(host=HOST, path=path)).keys[""]
    assert found.allowed_signers_file == file


@pytest.mark.parametrize("signers", ["", "x", "\x00", "ada@example.org ssh-ed25519 !!!", "* cert-authority"])
async def test_a_broken_list_of_signers_makes_nothing_good(
    tmp_path: Path, bare: Bare, key: SshKey, signers: str
) -> None:
    assert (await verify(tmp_path, key.sign(bare), signers)).state in ("unknown", "unknown key", "bad")


@pytest.mark.parametrize("armour", [True, False])
async def test_an_openpgp_signature_of_a_key_in_the_files_is_good(
    tmp_path: Path, bare: Bare, pgp: Callable[..., PgpKey], armour: bool
) -> None:
    made, other = pgp("ada@example.org"), pgp("bob@example.org")
    files = tuple(one.export(tmp_path / one.mail, armour=armour) for one in (other, made))
    found = await verify(tmp_path, made.sign(bare), pgp=files)
    assert (found.state, found.form, found.signer) == ("good", "openpgp", "Ada <ada@example.org>")
    assert len(found.key) == 40


async def test_a_signature_of_the_code_host_is_told_apart_from_one_of_a_person(
    tmp_path: Path, bare: Bare, pgp: Callable[..., PgpKey]
) -> None:
    host, ada = pgp("noreply@git.example.org"), pgp("ada@example.org")
    hosts, people = (host.export(tmp_path / "host"),), (ada.export(tmp_path / "ada"),)
    by_host, by_ada = host.sign(bare), ada.sign(bare)
    states = [
        ((found := await verify(tmp_path, commit, pgp=pgp_files, host=host_files)).state, found.by_host)
        for commit, pgp_files, host_files in (
            (by_host, people, hosts), (by_host, hosts, hosts), (by_ada, people, hosts), (by_ada, (), hosts),
        )
    ]  # fmt: skip
    assert states == [("good", True), ("good", True), ("good", False), ("unknown key", False)]


async def test_an_openpgp_key_in_no_file_is_unknown_and_a_changed_commit_bad(
    tmp_path: Path, bare: Bare, pgp: Callable[..., PgpKey]
) -> None:
    made, other = pgp("ada@example.org"), pgp("bob@example.org")
    commit = made.sign(bare)
    assert (await verify(tmp_path, commit, pgp=(other.export(tmp_path / "bob"),))).state == "unknown key"
    content = (bare.git("cat-file", "commit", commit) + "\n").replace("signed", "forged")
    changed = bare.git("hash-object", "-w", "-t", "commit", "--stdin", given=content.encode())
    bare.git("update-ref", "refs/heads/main", changed)
    assert (await verify(tmp_path, changed, pgp=(made.export(tmp_path / "ada"),))).state == "bad"


async def test_an_expired_openpgp_key_is_not_good(tmp_path: Path, bare: Bare, pgp: Callable[..., PgpKey]) -> None:
    made = pgp("ada@example.org", expires="2d", made="20240101T000000")
    commit = made.sign(bare, faked="20240101T120000")
    found = await verify(tmp_path, commit, pgp=(made.export(tmp_path / "ada"),))
    assert (found.state, found.expired) == ("unknown", True)


async def test_a_file_that_contains_no_keys_or_is_not_there_is_named(
    tmp_path: Path, bare: Bare, pgp: Callable[..., PgpKey]
) -> None:
    commit = pgp("ada@example.org").sign(bare)
    broken = tmp_path / "broken.asc"
    broken.write_text("-----BEGIN PGP PUBLIC KEY BLOCK-----\n", encoding="ascii")
    for name in (str(broken), str(tmp_path / "nowhere")):
        with pytest.raises(SourceUnavailable) as caught:
            await verify(tmp_path, commit, pgp=(name,))
        assert caught.value.code == "git-keys-unreadable"


def test_armour_of_several_keys_is_removed() -> None:
    block = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\nComment: x\n\nAAEC\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n"
    assert binary_keys(block * 2, name="keys") == b"\x00\x01\x02" * 2
    assert binary_keys(b"\x99\x01", name="keys") == b"\x99\x01"
