"""`whence-aggregator events`: dead letters are listed, replayed and discarded in the database of the settings."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.cloud_trail import BUCKET, key
from whence_aggregator.cli import main
from whence_aggregator.events.dead_letters import dead_message, dead_object
from whence_aggregator.events.object_keys import TrailObject
from whence_aggregator.events.refused import TrailRefused
from whence_aggregator.queries.events import ADD_TRAIL_DEAD
from whence_aggregator.queries.work import TASKS_OF_KIND
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_common.runtime.logs import BoundedStream

QUEUE = "https://sqs.eu-central-1.amazonaws.com/123456789012/trail"


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """The command logs to the standard error of its test, which is closed when the next one runs."""
    root = logging.getLogger()
    level = root.level
    yield
    for handler in tuple(root.handlers):
        if isinstance(handler, BoundedStream):
            root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings of a database with two dead letters."""

    async def made() -> None:
        database = await SqliteDatabase.open(tmp_path / "ledger.db")
        foreign = TrailRefused("bucket-foreign", "the bucket is not in the settings")
        await database.write(
            ADD_TRAIL_DEAD.bind(
                [
                    dead_message(QUEUE, "garbage\x1b[2J", TrailRefused("message-malformed", "not JSON"), at=1),
                    dead_object(TrailObject(bucket=BUCKET, key=key()), foreign, of=("", ""), at=2),
                ]
            )
        )
        await database.close()

    asyncio.run(made())
    path = tmp_path / "aggregator.yaml"
    document = {"audience": "https://whence.example.org", "accounts": ["123456789012"],
                "database": f"sqlite://{tmp_path}/ledger.db"}  # fmt: skip
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def tasks(config: Path) -> list[str]:
    async def read() -> list[str]:
        database = await SqliteDatabase.open(config.parent / "ledger.db")
        rows = await database.fetch(TASKS_OF_KIND.bind({"kind": "trail-replay"}))
        await database.close()
        return [row["subject"] for row in rows]

    return asyncio.run(read())


def run(capsys: pytest.CaptureFixture[str], config: Path, *words: str) -> tuple[int, str]:
    code = main(["events", *words, "--config", str(config)])
    return code, capsys.readouterr().out


def test_letters_are_listed_with_their_reasons_and_exit_1(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(capsys, config, "dead")
    lines = said.splitlines()
    assert (code, len(lines)) == (1, 2)
    assert re.fullmatch(rf"[0-9a-f]{{32}} message-malformed {re.escape(QUEUE)}: not JSON", lines[0])
    assert lines[1].endswith(f"bucket-foreign s3://{BUCKET}/{key()}: the bucket is not in the settings")


def test_a_replay_is_a_task_of_the_running_program(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, said = run(capsys, config, "dead")
    (first, second) = (line.split()[0] for line in said.splitlines())
    assert run(capsys, config, "replay", "--code", "bucket-foreign") == (0, "1 dead letters are taken again\n")
    assert tasks(config) == [second]
    assert run(capsys, config, "replay", first)[0] == 0
    assert sorted(tasks(config)) == sorted([first, second])
    assert run(capsys, config, "discard", first, second) == (0, "2 dead letters discarded\n")
    assert run(capsys, config, "dead") == (0, "")


def test_an_id_that_is_not_there_is_named(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "replay", "0" * 32, "--config", str(config)]) == 1
    assert "there is no dead letter with this id" in capsys.readouterr().err


def test_a_command_leaves_nothing_that_writes_to_its_standard_error(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, config, "dead")[0] == 1
    assert [one for one in logging.getLogger().handlers if isinstance(one, BoundedStream)] == []
