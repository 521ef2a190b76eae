"""Tokens: read-only unless rights are named, they expire, are listed and revoked, and old files keep their meaning."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fakes.clocks import FakeClock
from whence_aggregator.adapters.tokens_file import TokensFile
from whence_aggregator.callers.known import Callers, TokenUses
from whence_aggregator.callers.tokens import CallerToken, TokensInvalid, new_token, parse_tokens, token_hash
from whence_aggregator.cli import main
from whence_aggregator.ports import StorageUnavailable
from whence_aggregator.queries.callers import NOTE_TOKEN_USE, TOKEN_USES
from whence_aggregator.queries.query import BoundCommand
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.wiring.settings_files import load_callers

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=365)
HASH = "sha256:" + "0" * 64


def made(name: str = "ada", *teams: str, admin: bool = False) -> tuple[str, CallerToken]:
    return new_token(name, teams, admin=admin, made=NOW, until=LATER)


def command(*arguments: object) -> int:
    return main(["token", *map(str, arguments)])


def lines(path: Path) -> list[str]:
    return path.read_text("ascii").splitlines()


def test_a_token_is_identified_only_by_its_hash() -> None:
    text, token = made("ada", "hello", "platform")
    assert text not in token.to_line()
    caller = parse_tokens(f"# ours\n\n{token.to_line()}\n", name="t")[token_hash(text)].caller
    assert (caller.name, caller.may_write("hello"), caller.may_write("other")) == ("ada", True, False)


def test_without_teams_and_without_admin_a_token_reads_only() -> None:
    _, token = made()
    assert token.to_line() == f"{token.hash} ada - made=2026-11-20T12:00:00.000Z until=2027-11-20T12:00:00.000Z"
    assert not parse_tokens(token.to_line(), name="t")[token.hash].caller.may_write("hello")


def test_only_a_token_that_is_named_admin_writes_for_every_team() -> None:
    _, token = made("root", admin=True)
    assert parse_tokens(token.to_line(), name="t")[token.hash].caller.may_write("any")
    with pytest.raises(TokensInvalid, match="leave out --team"):
        made("root", "hello", admin=True)


@pytest.mark.parametrize("team", ["*", "-", "", "a,*", "*,a", "a,b"])
def test_a_team_cannot_have_the_name_of_a_right(team: str) -> None:
    with pytest.raises(TokensInvalid):
        made("ada", team)


def test_lines_of_earlier_versions_keep_their_rights_and_never_expire() -> None:
    old = f"{HASH[:-1]}1 ada hello,platform\n{HASH[:-1]}2 root *\n"
    ada, root = parse_tokens(old, name="t").values()
    assert (ada.rights, root.rights) == ("write for hello,platform", "admin")
    assert not ada.is_expired(NOW + timedelta(days=10_000))
    assert not root.is_expired(NOW + timedelta(days=10_000))


@pytest.mark.parametrize(
    "line",
    [
        "secret", f"{HASH} ada hello may=everything", f"{HASH} ada hello may=", "sha256:00 ada *", f"{HASH} a b c", f"{HASH} ada * until=tomorrow", f"{HASH} ada * until=2027-01-01",
        f"{HASH} ada * until=", f"{HASH} ada * until=2027-01-01T00:00:00Z x", f"{HASH} ada *,hello", f"{HASH} ada",
    ],
)  # fmt: skip
def test_a_malformed_line_is_named(line: str) -> None:
    with pytest.raises(TokensInvalid, match="t:2"):
        parse_tokens(f"\n{line}\n", name="t")


def test_reading_user_data_is_a_right_of_its_own() -> None:
    plain, root = made("ada", "hello")[1], made("root", admin=True)[1]
    allowed = new_token("eve", [], admin=False, made=NOW, until=LATER, rights=["user-data"])[1]
    text = "\n".join([*(one.to_line() for one in (plain, allowed, root)), f"{HASH} old hello may=user-data"])
    may = {one.caller.name: one.caller.may_read_user_data for one in parse_tokens(text, name="t").values()}
    assert may == {"ada": False, "eve": True, "root": True, "old": True}
    assert allowed.rights == "read, user-data"


def test_every_invalid_line_is_named_and_never_quoted() -> None:
    with pytest.raises(TokensInvalid) as caught:
        parse_tokens("a-secret-pasted-here\n\nanother\n", name="t")
    assert "t:1, t:3" in caught.value.message
    assert "secret" not in caught.value.diagnostics()


@pytest.mark.parametrize("name", ["a b", "", "a\nb", "é", "list", "revoke"])
def test_a_token_name_cannot_break_the_file_or_be_a_command(name: str) -> None:
    with pytest.raises(TokensInvalid):
        made(name)


def test_a_token_is_unknown_from_the_moment_it_expires() -> None:
    clock = FakeClock()
    text, token = new_token("ada", [], admin=False, made=clock(), until=clock() + timedelta(days=1))
    callers = Callers({token.hash: token}, now=clock)
    clock.advance(86_399)
    assert callers.get(token_hash(text)) == token.caller
    assert callers.counts() == {"valid": 1, "expiring": 1, "expired": 0}
    clock.advance(1)
    assert callers.get(token_hash(text)) is None
    assert callers.counts() == {"valid": 0, "expiring": 0, "expired": 1}


def test_the_command_makes_a_token_that_reads_and_expires_in_a_year(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tokens"
    assert command("ada", "--file", file) == 0
    shown = capsys.readouterr()
    (token,) = parse_tokens(file.read_text(), name="t").values()
    assert token.hash == token_hash(shown.out.strip())
    assert token.rights == "read"
    assert token.until is not None
    assert token.made is not None
    assert token.until - token.made == timedelta(days=365)
    assert file.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    "arguments",
    [
        ("ada", "--days", "0"), ("ada", "--days", "4000"), ("ada", "--until", "2020-01-01"), ("ada", "--until", "soon"),
        ("ada", "--until", "9999-01-01"), ("ada", "--until", "2027-13-01"), ("ada", "--admin", "--team", "hello"),
    ],
)  # fmt: skip
def test_a_token_that_cannot_be_meant_is_not_made(tmp_path: Path, arguments: Sequence[str]) -> None:
    assert command(*arguments, "--file", tmp_path / "tokens") == 1
    assert not (tmp_path / "tokens").exists()


def test_a_token_is_not_glued_to_a_last_line_that_does_not_end(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"{HASH} root *")
    assert command("ada", "--file", file) == 0
    assert [one.caller.name for one in parse_tokens(file.read_text(), name="t").values()] == ["root", "ada"]


def test_revoking_removes_the_tokens_of_a_name_and_no_other_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# kept by hand\n{HASH} ada *\n{HASH[:-1]}1   adam   hello\n{HASH[:-1]}2 ada hello")
    file.chmod(0o640)
    assert command("revoke", "ada", "--file", file) == 0
    assert capsys.readouterr().out == "2 tokens of ada revoked\n"
    assert file.read_text() == f"# kept by hand\n{HASH[:-1]}1   adam   hello\n"
    assert file.stat().st_mode & 0o777 == 0o640
    assert command("revoke", "ada", "--file", file) == 1
    assert "nothing was revoked" in capsys.readouterr().err


def test_one_of_several_tokens_of_a_name_is_revoked_by_when_it_was_made(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    _, new = made("ada")
    file.write_text(f"{HASH} ada *\n{new.to_line()}\n")
    assert command("revoke", "ada", "--made", "-", "--file", file) == 0
    assert lines(file) == [new.to_line()]
    assert command("revoke", "ada", "--made", "2026-11-20T12:00:00.000Z", "--file", file) == 0
    assert lines(file) == []


async def test_tokens_that_are_created_during_a_revocation_are_not_lost(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("".join(f"sha256:{number:064x} old{number} *\n" for number in range(20)))
    work = [("revoke", f"old{number}") for number in range(20)] + [(f"new{number}",) for number in range(20)]
    codes = await asyncio.gather(*(asyncio.to_thread(command, *one, "--file", file) for one in work))
    assert set(codes) == {0}
    names = {one.caller.name for one in parse_tokens(file.read_text(), name="t").values()}
    assert names == {f"new{number}" for number in range(20)}


def test_revoking_in_a_file_with_an_invalid_line_reports_that_it_is_not_effective_yet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"oops\n{HASH} ada *\n")
    assert command("revoke", "ada", "--file", file) == 1
    assert lines(file) == ["oops"]
    assert f"{file}:1" in capsys.readouterr().err


def test_a_revocation_through_a_symlink_replaces_what_it_leads_to(tmp_path: Path) -> None:
    file, link = tmp_path / "tokens", tmp_path / "link"
    file.write_text(f"{HASH} ada *\n")
    link.symlink_to(file)
    assert command("revoke", "ada", "--file", link) == 0
    assert link.is_symlink()
    assert file.read_text() == ""


async def test_the_list_shows_rights_and_dates_and_never_a_hash(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, config = tmp_path / "tokens", tmp_path / "aggregator.yaml"
    _, new = new_token("bob", ["hello"], admin=False, made=NOW, until=datetime(2100, 1, 1, tzinfo=UTC))
    gone = CallerToken(hash=HASH[:-1] + "3", caller=new.caller, made=NOW, until=NOW + timedelta(microseconds=1))
    file.write_text(f"{HASH} ada *\n{new.to_line()}\n{gone.to_line()}\n")
    config.write_text(
        f"audience: a\naccounts: ['123456789012']\ndatabase: sqlite://{tmp_path}/l.db\ntokens_file: {file}\n"
    )
    assert await asyncio.to_thread(command, "list", "--config", config) == 0
    assert "unknown" in capsys.readouterr().out
    assert not (tmp_path / "l.db").exists()
    database = await SqliteDatabase.open(tmp_path / "l.db")
    await database.write(NOTE_TOKEN_USE.bind([{"token": new.hash, "used_at": "2026-11-20T13:00:00.000Z"}]))
    await database.close()
    assert await asyncio.to_thread(command, "list", "--config", config) == 0
    shown = capsys.readouterr()
    assert [line.split() for line in shown.out.splitlines()] == [
        ["NAME", "RIGHTS", "MADE", "EXPIRES", "LAST", "USED"],
        ["ada", "admin", "-", "never", "never"],
        ["bob", "write", "for", "hello", "2026-11-20T12:00:00.000Z", "2100-01-01T00:00:00.000Z", "2026-11-20T13:00:00.000Z"],
        ["bob", "write", "for", "hello", "2026-11-20T12:00:00.000Z", "2026-11-20T12:00:00.000Z", "(expired)", "never"],
    ]  # fmt: skip
    assert "sha256" not in shown.out + shown.err


def test_words_that_mean_nothing_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("revoke", "--file", "/nowhere/tokens") == 1
    assert command("ada", "bob", "--file", "/nowhere/tokens") == 2


class CountedWrites:
    """A database that counts writes, and is away when told so."""

    def __init__(self) -> None:
        self.rows: list[Sequence[object]] = []
        self.away = False

    async def write(self, *writes: BoundCommand) -> None:
        if self.away:
            raise StorageUnavailable("storage-sqlite", "away")
        self.rows += [rows for _, rows in writes]


async def test_ten_thousand_uses_of_a_token_are_one_write_of_one_row() -> None:
    clock, database = FakeClock(), CountedWrites()
    text, token = made()
    callers = Callers({token.hash: token}, now=clock)
    uses = TokenUses(database=database, callers=callers, now=clock)  # type: ignore[arg-type]  # only write is called
    for _ in range(10_000):
        callers.get(token_hash(text))
        callers.get(token_hash("guessed"))
    database.away = True
    await uses.keep()
    database.away = False
    await uses.keep()
    await uses.keep()
    assert [len(rows) for rows in database.rows] == [1]


def test_a_tokens_file_that_changes_counts_and_a_wrong_one_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "tokens"
    text, token = made()
    path.write_text(f"{token.to_line()}\n")
    callers = Callers(load_callers(str(path)), now=lambda: NOW)
    file = TokensFile(str(path), callers=callers, load=load_callers)
    path.write_text("half a li")
    for _ in range(3):
        file.look()
    assert callers.get(token_hash(text)) is not None
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    path.unlink()
    file.look()
    assert callers.get(token_hash(text)) is not None
    path.write_text("# nobody\n")
    file.look()
    assert callers.get(token_hash(text)) is None


async def test_of_two_replicas_that_note_a_use_the_later_one_stays(tmp_path: Path) -> None:
    database = await SqliteDatabase.open(tmp_path / "l.db")
    for used_at in ("2026-11-20T12:00:00.000Z", "2026-11-20T13:00:00.000Z", "2026-11-20T11:00:00.000Z"):
        await database.write(NOTE_TOKEN_USE.bind([{"token": HASH, "used_at": used_at}]))
    assert [dict(row) for row in await database.fetch(TOKEN_USES.bind({}))] == [
        {"token": HASH, "used_at": "2026-11-20T13:00:00.000Z"}
    ]
    await database.close()
