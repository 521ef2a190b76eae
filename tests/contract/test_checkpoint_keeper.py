"""What the ledger may rely on in whatever keeps its checkpoint: a file, or memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.in_process import KeptCheckpoint
from whence_aggregator.adapters.log_files import CheckpointFile, MemoryCheckpoint
from whence_aggregator.ports import CheckpointKeeper
from whence_common.note import Checkpoint, Note, Signer

SIGNER = Signer("whence.example.org", b"k" * 32)


def note(size: int) -> str:
    text = str(Checkpoint(origin="whence.example.org", size=size, root=bytes(32)))
    return str(Note(text=text, signatures=(SIGNER.sign(text),)))


@pytest.fixture(params=["file", "file-synced-at-once", "memory", "fake"])
def keeper(request: pytest.FixtureRequest, tmp_path: Path) -> CheckpointKeeper:
    made: dict[str, CheckpointKeeper] = {
        "file": CheckpointFile(tmp_path / "log.checkpoint"),
        "file-synced-at-once": CheckpointFile(tmp_path / "log.checkpoint", synced_at_once=True),
        "memory": MemoryCheckpoint(),
        "fake": KeptCheckpoint(),
    }
    return made[request.param]


def test_loading_before_the_first_store_returns_none(keeper: CheckpointKeeper) -> None:
    assert keeper.load() is None


def test_the_last_stored_checkpoint_is_loaded_unchanged(keeper: CheckpointKeeper) -> None:
    for size in (10, 10_000_000, 9):  # a shorter one after a longer one leaves nothing of that behind it
        keeper.keep(note(size))
        assert keeper.load() == note(size)
