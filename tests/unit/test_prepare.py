"""`prepare` makes the files of a new log: complete, private, and never a second time."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from whence_aggregator.adapters.log_files import load_signers
from whence_aggregator.callers.tokens import parse_tokens
from whence_aggregator.cli import main
from whence_aggregator.settings.server import parse_settings
from whence_aggregator.settings.witness import parse_witness_settings
from whence_aggregator.wiring.settings_files import load_secret
from whence_common.note import WITNESS

_OPTIONS = ("--audience", "https://whence.example.org", "--account", "123456789012", "--witness", "w.example.org")


def made(directory: Path, *more: str) -> int:
    return main(["prepare", str(directory), *_OPTIONS, *more])


def test_settings_and_secrets_fit_together(tmp_path: Path) -> None:
    assert made(tmp_path, "--proxy", "10.83.7.2/32") == 0
    secrets, settings = tmp_path / "secrets", tmp_path / "settings"
    aggregator = parse_settings((settings / "aggregator.yaml").read_bytes(), name="a")
    witness = parse_witness_settings((settings / "witness.yaml").read_bytes(), name="w")
    (log_key,) = load_signers(secrets / "log.key", name="whence.example.org", made=False)
    (witness_key,) = load_signers(secrets / "witness.key", name="w.example.org", type_=WITNESS, made=False)
    assert witness.log_keys == [str(log_key.verifier)]
    assert [(one.url, one.key) for one in aggregator.witnesses] == [("http://witness:7383", str(witness_key.verifier))]
    assert aggregator.database == "postgresql://whence@database/whence?password_file=/run/secrets/database.password"
    assert aggregator.trusted_proxies == ["10.83.7.2/32"]
    assert aggregator.replicas is not None
    assert aggregator.replicas.urls == ["http://aggregator-1:7381", "http://aggregator-2:7381"]
    assert len(load_secret(secrets / "heartbeat.secret")) == 32


def test_the_token_of_replicas_reads_and_does_nothing_else(tmp_path: Path) -> None:
    assert made(tmp_path) == 0
    (caller,) = parse_tokens((tmp_path / "settings/tokens").read_text(), name="tokens").values()
    assert not caller.caller.may_read_user_data
    assert caller.caller.teams == frozenset()
    assert caller.until is not None
    assert caller.until > datetime(2030, 1, 1, tzinfo=UTC)


def test_only_the_owner_reads_what_is_made_and_settings_have_no_secret(tmp_path: Path) -> None:
    assert made(tmp_path) == 0
    files = [one for one in tmp_path.rglob("*") if one.is_file()]
    assert [one for one in files if stat.S_IMODE(one.stat().st_mode) != 0o600] == []
    shown = b"".join(one.read_bytes() for one in (tmp_path / "settings").iterdir())
    for one in (tmp_path / "secrets").iterdir():
        assert one.read_bytes().strip() not in shown, one
        named = f"/run/secrets/{one.name}".encode()
        assert (named in shown) is (not one.name.startswith("database-owner")), one


def test_passwords_differ(tmp_path: Path) -> None:
    assert made(tmp_path) == 0
    passwords = {one.read_text() for one in (tmp_path / "secrets").glob("*.password")}
    assert len(passwords) == 2
    assert min(map(len, passwords)) > 40


def test_options_lead_to_settings(tmp_path: Path) -> None:
    dsn = "postgresql://whence@db.example.org/whence?sslmode=verify-full"
    assert (
        made(
            tmp_path,
            "--database",
            dsn,
            "--replica",
            "http://a:7381",
            "--witness-url",
            "https://w.example.org",
            "--secrets-directory",
            "/s/",
        )
        == 0
    )
    written = yaml.safe_load((tmp_path / "settings/aggregator.yaml").read_text())
    assert written["database"] == f"{dsn}&password_file=/s/database.password"
    assert written["log_key_file"] == "/s/log.key"
    assert written["replicas"]["urls"] == ["http://a:7381"]
    assert written["witnesses"][0]["url"] == "https://w.example.org"


def test_nothing_is_made_a_second_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert made(tmp_path) == 0
    before = {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()}
    assert made(tmp_path) == 78
    assert "secrets exists: nothing was changed" in capsys.readouterr().err
    assert {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()} == before


@pytest.mark.parametrize(
    "options, said",
    [
        (("--account", "12"), "'12' is not an account id"),
        (("--proxy", "everybody"), "trusted_proxies"),
        (("--replica", "ftp://a"), "replicas.urls[0]"),
        (("--witness-url", "w"), "witnesses[0].url"),
        (("--witness", "two words"), "name must be letters"),
        (("--database", "mysql://a"), "database must be"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_made(
    options: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert made(tmp_path, *options) == 78
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        ("postgresql://whence:hunter2@db/whence", "has a password"),
        ("postgresql://whence@db/whence?sslmode=require&password=hunter2", "has a password"),
        ("postgresql://whence@db/whence?pass%77ord=hunter2", "has a password"),
        ("postgresql://whence@db/whence?password_file=/hunter2", "has a password"),
        ("sqlite:////var/lib/hunter2", "replicas share a database"),
        ("postgresql://[hunter2", "the URL is malformed"),
    ],
)
def test_a_database_with_a_password_or_of_one_replica_is_refused_and_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dsn: str, said: str
) -> None:
    assert made(tmp_path, "--database", dsn) == 78
    shown = capsys.readouterr().err
    assert said in shown
    assert "hunter2" not in shown
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert made(tmp_path / "none") == 1
    assert f"{tmp_path}/none/secrets cannot be written: No such file" in capsys.readouterr().err
