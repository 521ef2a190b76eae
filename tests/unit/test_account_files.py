"""Files beside a plan: journals that were cut off or are of other plans, and reports that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from whence_aggregator.accounts_command.files import FileJournal, account_lock, read_report
from whence_common.errors import InputError, RoadError

_PLAN, _ACCOUNT = f"sha256:{'0' * 64}", "123456789012"


def test_a_journal_knows_what_this_plan_has_begun_and_nothing_of_others(tmp_path: Path) -> None:
    path = tmp_path / "p.journal"
    FileJournal(path, _PLAN).begin(_ACCOUNT, "role/a")
    FileJournal(path, "sha256:other").begin(_ACCOUNT, "role/b")
    found = FileJournal(path, _PLAN)
    assert [found.has_begun(_ACCOUNT, one) for one in ("role/a", "role/b")] == [True, False]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("noise", [b'{"plan": "sha', b"\xff\xfe", b"[" * 100_000, b"[]", b'{"plan": 1}', b"\x00" * 512])
def test_a_journal_with_a_line_that_was_cut_off_is_read_on(tmp_path: Path, noise: bytes) -> None:
    path = tmp_path / "p.journal"
    FileJournal(path, _PLAN).begin(_ACCOUNT, "role/a")
    path.write_bytes(noise + b"\n" + path.read_bytes() + noise)
    FileJournal(path, _PLAN).begin(_ACCOUNT, "role/b")
    found = FileJournal(path, _PLAN)
    assert [found.has_begun(_ACCOUNT, one) for one in ("role/a", "role/b", "role/c")] == [True, True, False]


def test_a_journal_that_cannot_be_read_ends_the_apply(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        FileJournal(tmp_path, _PLAN)


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 1_000_000, b"\xff", b'{"\\u001b' + b"x" * 1_000_000 + b'": 1}'])
def test_what_is_no_report_is_refused_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r.json").write_bytes(content)
    with pytest.raises(InputError, match="is not the report of an apply") as refused:
        read_report(tmp_path / "r.json")
    assert refused.value.fix == "apply the plan again"
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 1_000


def test_only_one_process_writes_an_account(tmp_path: Path) -> None:
    with (
        account_lock(tmp_path, _ACCOUNT),
        pytest.raises(RoadError, match="another whence-accounts writes account 123456789012"),
        account_lock(tmp_path, _ACCOUNT),
    ):
        pass
    with account_lock(tmp_path, _ACCOUNT), account_lock(tmp_path, "210987654321"):
        pass
