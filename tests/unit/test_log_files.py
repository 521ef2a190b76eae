"""The log's files: keys that are made once and never shown, a last checkpoint that survives."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fakes.signed_logs import LOG, OTHER, SignedLog
from whence_aggregator.adapters.log_files import CheckpointFile, add_key, load_signers
from whence_aggregator.ports import StorageUnavailable
from whence_aggregator.wiring.settings_files import load_secret
from whence_common.note import WITNESS, VerifierKey
from whence_common.settings_file import SettingsInvalid

NAME = "whence.example.org"


def test_the_first_key_is_made_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "log.key"
    first = load_signers(file, name=NAME)
    assert str(load_signers(file, name=NAME)[0].verifier) == str(first[0].verifier)
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_new_key_comes_first_and_the_old_one_stays(tmp_path: Path) -> None:
    file = tmp_path / "log.key"
    (old,) = load_signers(file, name=NAME)
    add_key(file, name=NAME)
    new, kept = load_signers(file, name=NAME)
    assert (kept.verifier, new.verifier != old.verifier) == (old.verifier, True)
    assert VerifierKey.parse(str(new.verifier)) == new.verifier


def test_concurrent_creations_of_the_first_key_return_the_same_key(tmp_path: Path) -> None:
    """The aggregator and the registry front start together on a new machine, and share their files."""
    for number in range(20):
        file = tmp_path / f"{number}.key"
        with ThreadPoolExecutor(8) as threads:
            made = list(threads.map(lambda _, file=file: load_signers(file, name=NAME), range(8)))
        assert len({str(one.verifier) for (one,) in made}) == 1
        secret = tmp_path / f"{number}.secret"
        with ThreadPoolExecutor(8) as threads:
            assert len(set(threads.map(lambda _, secret=secret: load_secret(secret), range(8)))) == 1
    assert not list(tmp_path.glob(".*"))


@pytest.mark.root
def test_a_file_created_by_root_has_its_directorys_owner(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(tmp_path, 1234, 1235)
    file = tmp_path / "log.key"
    load_signers(file, name=NAME)
    add_key(file, name=NAME)
    load_secret(tmp_path / "secret")
    for made in (file, tmp_path / "secret"):
        assert (made.stat().st_uid, made.stat().st_gid, made.stat().st_mode & 0o777) == (1234, 1235, 0o600)


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    for make in (lambda file: load_signers(file, name=NAME), load_secret):
        with pytest.raises(FileNotFoundError) as caught:
            make(tmp_path / "elsewhere" / "file")
        assert caught.value.filename == str(tmp_path / "elsewhere")


@pytest.mark.parametrize("text", ["", "x\n", "PRIVATE+KEY+n+1+AAAA\n", "PRIVATE+KEY+n+1+!\n", "é"])
def test_a_file_that_holds_no_key_is_refused_and_its_content_not_shown(tmp_path: Path, text: str) -> None:
    file = tmp_path / "log.key"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsInvalid) as caught:
        load_signers(file, name=NAME)
    assert "AAAA" not in str(caught.value)


def test_keys_of_another_log_or_of_a_witness_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "log.key"
    load_signers(file, name=NAME)
    for name, kind in (("other", 1), (NAME, WITNESS)):
        with pytest.raises(SettingsInvalid):
            load_signers(file, name=name, type_=kind)


@pytest.mark.parametrize("at_once", [False, True])
def test_the_last_checkpoint_is_there_again(tmp_path: Path, at_once: bool) -> None:
    file = tmp_path / "checkpoint"
    assert CheckpointFile(file, synced_at_once=at_once).load() is None
    keeper = CheckpointFile(file, synced_at_once=at_once)
    notes = [SignedLog([b"entry"] * 3, signers=signers).note() for signers in ((LOG, OTHER), (LOG,), (OTHER, LOG))]
    assert len(notes[1]) < len(notes[0])
    for note in notes:
        keeper.keep(note)
        assert CheckpointFile(file).load() == note
    keeper.close()
    assert CheckpointFile(file).load() == notes[2]


@pytest.mark.parametrize("at_once", [False, True])
def test_a_place_that_cannot_be_written_is_an_error_and_no_checkpoint_leaves(tmp_path: Path, at_once: bool) -> None:
    with pytest.raises(StorageUnavailable, match="cannot be written"):
        CheckpointFile(tmp_path / "nowhere" / "checkpoint", synced_at_once=at_once).keep("note\n")
