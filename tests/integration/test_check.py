"""`check`: all that a start would die of, at once, each at its line; and nothing is made while looking."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from contextlib import AsyncExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fakes.organizations import DENIED, Organizations
from landscape.processes import ended, free_port
from landscape.programs import BIN
from whence_aggregator.adapters.git_process import GitBounds, GitMissing, GitRuns
from whence_aggregator.callers.tokens import new_token
from whence_aggregator.check.command import WITNESS_FILE, CannotBecome, become, open_settings
from whence_aggregator.check.programs import Surroundings, check_registry, check_serve, check_witness
from whence_aggregator.settings.server import read_settings
from whence_aggregator.settings.witness import read_witness_settings
from whence_aggregator.wiring.parts import check_heartbeat_secret, open_database, start_ledger
from whence_common.note import WITNESS, Signer
from whence_common.problems import Problem

NOW = datetime(2026, 11, 26, tzinfo=UTC)
AROUND = Surroundings(database_location=None, now=lambda: NOW)
_VERIFIER = "whence.example.org+9105e734+AchTrQ8M0rYZrqks7sT9VqJNZJnVhM55JX5Fz9gTm2Cn"


def good(home: Path, *more: str) -> str:
    """Give settings that a start would take, and make the file of tokens that it needs."""
    _, token = new_token("ada", ["hello"], admin=False, made=NOW, until=datetime(2030, 1, 1, tzinfo=UTC))
    (home / "tokens").write_text(token.to_line() + "\n", encoding="utf-8")
    lines = [
        "audience: https://whence.example.org",
        'accounts: ["123456789012"]',
        f"database: sqlite://{home}/ledger.db",
        f"tokens_file: {home}/tokens",
        f"log_key_file: {home}/log.key",
        f"heartbeat_secret_file: {home}/heartbeat.secret",
        f"checkpoint_file: {home}/log.checkpoint",
    ]
    if not any(one.startswith("listen_port") for one in more):
        lines.append("listen_port: 0")
    return "\n".join([*lines, *more]) + "\n"


async def checked(text: str) -> list[Problem]:
    return list(await check_serve(read_settings(text.encode(), name="a.yaml"), AROUND))


def said(problems: Iterable[Problem]) -> list[tuple[int, str, str]]:
    return [(one.line, one.severity, one.code) for one in sorted(problems, key=lambda one: one.line)]


async def command(*arguments: object) -> tuple[int, str]:
    process = await ended(BIN / "whence-aggregator", *arguments, merged=True)
    return process.code, process.out


def certificate(home: Path, name: str, *, begins: datetime, ends: datetime, password: bytes | None = None) -> list[str]:
    """Make a certificate and its key; give the settings that name them."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "whence")])
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(1).not_valid_before(begins).not_valid_after(ends).sign(key, hashes.SHA256())
    )  # fmt: skip
    (home / f"{name}.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    (home / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    )
    return [f"tls_certificate_file: {home}/{name}.crt", f"tls_key_file: {home}/{name}.key"]


async def test_settings_that_a_start_takes_are_good_and_nothing_is_made(tmp_path: Path) -> None:
    assert await checked(good(tmp_path)) == []
    assert [path.name for path in tmp_path.iterdir()] == ["tokens"]


async def test_everything_that_a_start_would_die_of_is_found_at_once(tmp_path: Path) -> None:
    text = good(
        tmp_path,
        f"authorities_directory: {tmp_path}/none",
        f"tls_certificate_file: {tmp_path}/none.crt",
        f"tls_key_file: {tmp_path}/none.key",
        "required_links: [nothing]",
        "registries:",
        f"  r.example.org: {{login_file: {tmp_path}/none.login}}",
        "git_servers:",
        f"  github.com: {{github_app: {{app_id: '1', key_file: {tmp_path}/none.pem}}}}",
        "trackers:",
        f"  jira.example.org: {{type: jira, login_file: {tmp_path}/none.jira}}",
        "trust:",
        f"  r.example.org: {{signature_key_files: [{tmp_path}/none.pub, {tmp_path}/log.key]}}",
        "registry_front:",
        "  name: r.example.org",
        "  backend: http://127.0.0.1:5000",
        f"  backend_login_file: {tmp_path}/none.backend",
    )
    (tmp_path / "tokens").write_text("no token\n", encoding="utf-8")
    (tmp_path / "log.key").write_text("no key\n", encoding="utf-8")
    (tmp_path / "heartbeat.secret").write_text("short", encoding="utf-8")
    (tmp_path / "ledger.db").write_text("this is not a database, but a text of some length\n" * 4, encoding="utf-8")
    assert said(await checked(text)) == [
        (3, "error", "database-not-sqlite"),
        (4, "error", "tokens-line"),
        (5, "error", "log-key"),
        (6, "error", "heartbeat-secret"),
        (9, "error", "authorities-empty"),
        (10, "error", "tls-unreadable"),
        (11, "error", "tls-unreadable"),
        (12, "error", "required-links"),
        (14, "error", "login-unreadable"),
        (16, "error", "github-app-key"),
        (18, "error", "login-unreadable"),
        (20, "error", "check"),
        (20, "error", "trust-key"),
        (24, "error", "login-unreadable"),
    ]


async def test_a_directory_that_is_missing_is_found(tmp_path: Path) -> None:
    text = good(tmp_path).replace(f"{tmp_path}/log.checkpoint", f"{tmp_path}/none/log.checkpoint")
    assert said(await checked(text)) == [(7, "error", "directory-missing")]


@pytest.mark.root
def test_becoming_a_user_that_does_not_exist_is_refused() -> None:
    with pytest.raises(CannotBecome, match="there is no user '4294967294'"):
        become("4294967294")


async def test_a_database_of_a_newer_program_is_found_before_it_is_opened(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "ledger.db")
    connection.execute("pragma user_version = 9999")
    connection.execute("create table a (b)")
    connection.close()
    before = (tmp_path / "ledger.db").read_bytes()
    (problem,) = await checked(good(tmp_path))
    assert (problem.line, problem.code) == (3, "database-version")
    assert "newer version (9999)" in problem.message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ledger.db", "tokens"]
    assert (tmp_path / "ledger.db").read_bytes() == before


async def seeded(home: Path) -> str:
    """Make a log as a first start does; give its settings."""
    text = good(home)
    async with AsyncExitStack() as stack:
        settings = read_settings(text.encode(), name="a.yaml").settings
        database = await open_database(settings.database)
        stack.push_async_callback(database.close)
        await check_heartbeat_secret(settings, database)
        await start_ledger(settings, database, stack)
    return text


async def started(home: Path, text: str) -> tuple[int, str]:
    (home / "a.yaml").write_text(text, encoding="utf-8")
    return await command("serve", "--config", home / "a.yaml")


@pytest.mark.parametrize("emptied", [False, True])
async def test_a_signed_log_whose_database_is_not_there_is_found_and_no_other_is_made(
    tmp_path: Path, emptied: bool
) -> None:
    """A mistyped path, a disk that is not mounted, a file that was cut to nothing."""
    text = (await seeded(tmp_path)).replace("ledger.db", "leger.db")
    if emptied:
        (tmp_path / "leger.db").touch()
    (problem,) = await checked(text)
    assert (problem.line, problem.code) == (3, "ledger-missing")
    assert str(tmp_path / "log.checkpoint") in problem.message
    code, output = await started(tmp_path, text)
    assert (code, "a checkpoint over 2 entries was signed" in output) == (1, True)
    assert not (tmp_path / "leger.db").exists() or (tmp_path / "leger.db").stat().st_size == 0


@pytest.mark.parametrize("content", [b"\xff\0garbage", b"no checkpoint\n"])
async def test_a_checkpoint_file_that_holds_something_else_is_named(tmp_path: Path, content: bytes) -> None:
    text = await seeded(tmp_path)
    (tmp_path / "log.checkpoint").write_bytes(content)
    (problem,) = await checked(text)
    assert (problem.line, problem.code) == (7, "checkpoint-unreadable")
    code, output = await started(tmp_path, text)
    assert (code, output.count("\n")) == (1, 1)
    assert f"{tmp_path}/log.checkpoint does not contain a signed checkpoint (restore it" in output


async def test_a_database_that_the_environment_names_is_not_looked_for_in_the_settings(tmp_path: Path) -> None:
    around = Surroundings(database_location=f"sqlite://{tmp_path}/none/ledger.db", now=lambda: NOW)
    (problem,) = await check_serve(read_settings(good(tmp_path).encode(), name="a.yaml"), around)
    assert (problem.line, problem.code) == (0, "directory-missing")
    assert problem.message.startswith(f"WHENCE_DATABASE, which overrides `database`: {tmp_path}/none")


async def test_a_damaged_database_is_an_error_that_names_its_file(tmp_path: Path) -> None:
    text = await seeded(tmp_path)
    whole = (tmp_path / "ledger.db").read_bytes()
    (tmp_path / "ledger.db").write_bytes(whole[: len(whole) // 2])
    (problem,) = await checked(text)
    assert (problem.line, problem.code) == (3, "storage-sqlite")
    assert f"{tmp_path}/ledger.db: SQLite: " in problem.message
    assert "restore a backup" in problem.fix


async def test_files_of_the_state_that_the_services_user_may_not_write_are_found(tmp_path: Path) -> None:
    """What a command of root's, or a copy, left beside files that are right."""
    text = await seeded(tmp_path)
    for name in ("ledger.db-wal", "log.checkpoint"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o444)
    found = await asyncio.to_thread(_found_by_nobody, tmp_path, text)
    assert found == ["checkpoint-rights", "database-rights"]


async def test_a_database_of_the_version_before_is_saved_before_it_is_upgraded(tmp_path: Path) -> None:
    """The package was upgraded first, and the message of the start says to take a backup."""
    text = await seeded(tmp_path)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        (newest,) = connection.execute("pragma user_version").fetchone()
        connection.execute(f"pragma user_version = {newest - 1}")
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    code, output = await command("backup", tmp_path / "backup", "--config", tmp_path / "a.yaml")
    assert (code, "its entries were not counted" in output) == (0, True)
    with closing(sqlite3.connect(tmp_path / "backup" / "ledger.db")) as connection:
        assert connection.execute("pragma user_version").fetchone() == (newest - 1,)
        assert connection.execute("select count(*) from entry").fetchone() == (2,)
    assert json.loads((tmp_path / "backup" / "backup.json").read_bytes())["size"] is None


@pytest.mark.root
async def test_a_restored_file_that_belongs_to_root_is_a_warning(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    text = await seeded(tmp_path)
    os.chown(tmp_path, 1234, 1235)
    for path in (tmp_path / "ledger.db", tmp_path / "log.checkpoint", tmp_path / "log.key"):
        os.chown(path, 0, 0)
    found = await checked(text)
    assert [one for one in said(found) if one[2] != "readable-by-root-only"] == [
        (3, "warning", "database-rights"),
        (7, "warning", "checkpoint-rights"),
    ]
    assert {one.fix for one in found if one.line == 3} == {f"chown --reference={tmp_path} {tmp_path}/ledger.db"}


def _found_by_nobody(home: Path, text: str) -> list[str]:
    """Check in a process that has no rights over others' files."""
    (home / "a.yaml").write_text(text, encoding="utf-8")
    code = (
        "import asyncio, sys; from pathlib import Path\n"
        "from whence_aggregator.check.programs import Surroundings, check_serve\n"
        "from whence_aggregator.settings.server import read_settings\n"
        "from whence_common.clock import utc_now\n"
        "document = read_settings(Path(sys.argv[1]).read_bytes(), name='a.yaml')\n"
        "around = Surroundings(database_location=None, now=utc_now)\n"
        "print(*sorted(one.code for one in asyncio.run(check_serve(document, around))))"
    )
    rightless = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*rightless, sys.executable, "-c", code, home / "a.yaml"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.split()


async def test_a_ledger_of_any_size_is_checked_by_its_beginning(tmp_path: Path) -> None:
    with (tmp_path / "ledger.db").open("wb") as stream:
        stream.truncate(1 << 40)
    (problem,) = await checked(good(tmp_path))
    assert (problem.line, problem.code) == (3, "database-not-sqlite")


@pytest.mark.parametrize(
    "begins, ends, expected",
    [
        (-10, 300, []),
        (-10, 20, [(9, "warning", "tls-expiry")]),
        (-10, -1, [(9, "error", "tls-expiry")]),
        (1, 300, [(9, "error", "tls-expiry")]),
    ],
)
async def test_a_certificate_out_of_its_time_is_an_error_and_a_warning_before(
    begins: int, ends: int, expected: list[tuple[int, str, str]], tmp_path: Path
) -> None:
    lines = certificate(tmp_path, "a", begins=NOW + timedelta(days=begins), ends=NOW + timedelta(days=ends))
    assert said(await checked(good(tmp_path, *lines))) == expected


async def test_a_key_of_another_certificate_or_with_a_password_is_named_without_a_prompt(
    tmp_path: Path,
) -> None:
    begins, ends = NOW - timedelta(days=1), NOW + timedelta(days=300)
    first, second = (certificate(tmp_path, name, begins=begins, ends=ends) for name in ("a", "b"))
    (problem,) = await checked(good(tmp_path, first[0], second[1]))
    assert (problem.line, problem.code) == (10, "tls-mismatch")
    assert "b.key is not the key of the certificate in" in problem.message
    (problem,) = await checked(
        good(tmp_path, *certificate(tmp_path, "c", begins=begins, ends=ends, password=b"hunter2"))
    )
    assert (problem.line, problem.code) == (10, "tls-key-encrypted")
    (tmp_path / "a.key").write_bytes(b"no key")
    (problem,) = await checked(good(tmp_path, *first))
    assert (problem.line, problem.code) == (10, "tls-key")


async def test_a_port_that_another_program_has_is_an_error_and_one_of_ours_a_warning(tmp_path: Path) -> None:
    port = free_port()
    application = web.Application()
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        (problem,) = await asyncio.wait_for(checked_in_thread(good(tmp_path, f"listen_port: {port}")), 30)
        assert (problem.line, problem.severity) == (8, "error")
        assert f"port {port} of 127.0.0.1 is in use by another program" in problem.message
    finally:
        await runner.cleanup()

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"health": True})

    application = web.Application()
    application.router.add_get("/health", health)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        (problem,) = await checked_in_thread(good(tmp_path, f"listen_port: {port}"))
        assert (problem.line, problem.severity) == (8, "warning")
    finally:
        await runner.cleanup()


async def checked_in_thread(text: str) -> list[Problem]:
    """Check from another thread, as the server that is asked runs in this one."""
    return await asyncio.to_thread(lambda: asyncio.run(checked(text)))


async def test_an_address_of_another_machine_is_an_error(tmp_path: Path) -> None:
    (problem,) = await checked(good(tmp_path, "listen_address: 192.0.2.1", "insecure_listen: true"))
    assert (problem.line, problem.code) == (9, "listen-address")


async def test_a_witness_that_is_away_or_has_another_key_is_a_warning(tmp_path: Path) -> None:
    key = str(Signer("w.example.org", b"1" * 32, WITNESS).verifier)
    text = good(tmp_path, "witnesses:", f"  - {{url: 'http://127.0.0.1:{free_port()}', key: {key}}}")
    (problem,) = await checked(text)
    assert (problem.line, problem.severity, problem.code) == (10, "warning", "witness-unreachable")

    async def other(_: web.Request) -> web.Response:
        return web.Response(text=str(Signer("w.example.org", b"2" * 32, WITNESS).verifier) + "\n")

    application = web.Application()
    application.router.add_get("/key", other)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        text = good(tmp_path, "witnesses:", f"  - {{url: 'http://127.0.0.1:{port}', key: {key}}}")
        (problem,) = await checked(text)
        assert (problem.line, problem.severity, problem.code) == (10, "warning", "witness-key")
    finally:
        await runner.cleanup()


async def test_registry_and_witness_are_checked_for_themselves(tmp_path: Path) -> None:
    problems = await check_registry(read_settings(good(tmp_path).encode(), name="a.yaml"), AROUND)
    assert said(problems) == [(0, "error", "registry-unset")]
    more = (
        "registry_front: {name: r.example.org, backend: 'http://127.0.0.1:5000', alone: true, listen_address: 192.0.2.1}",
        "insecure_listen: true",
    )
    problems = await check_registry(read_settings(good(tmp_path, *more).encode(), name="a.yaml"), AROUND)
    assert said(problems) == [(9, "error", "listen-address")]

    text = f"name: w.example.org\nlog_keys: [{_VERIFIER}]\nstate_directory: {tmp_path}/none\nlisten_port: 0\n"
    problems = await check_witness(read_witness_settings(text.encode(), name="w.yaml"), AROUND)
    assert said(problems) == [(3, "error", "directory-missing")]
    (tmp_path / "witness.key").write_text("no key\n", encoding="utf-8")
    text = text.replace("/none", "")
    problems = await check_witness(read_witness_settings(text.encode(), name="w.yaml"), AROUND)
    assert said(problems) == [(3, "error", "log-key")]
    (tmp_path / "elsewhere").write_text("no key\n", encoding="utf-8")
    text += f"key_file: {tmp_path}/elsewhere\n"
    problems = await check_witness(read_witness_settings(text.encode(), name="w.yaml"), AROUND)
    assert said(problems) == [(5, "error", "log-key")]


async def test_a_start_names_the_line_too_and_ends_with_the_code_that_is_not_restarted(tmp_path: Path) -> None:
    config = tmp_path / "a.yaml"
    config.write_text(good(tmp_path, f"authorities_directory: {tmp_path}/none"), encoding="utf-8")
    code, output = await command("serve", "--config", config)
    assert (code, f"{config}:9:1: error[authorities-empty]" in output) == (78, True), output
    config.write_text(good(tmp_path), encoding="utf-8")
    (tmp_path / "tokens").write_text("no token\n", encoding="utf-8")
    code, output = await command("serve", "--config", config)
    assert (code, f"{config}:4:" in output, "error[tokens-line]" in output) == (78, True, True), output


async def test_a_port_in_use_is_reported_with_a_fix_and_retried(tmp_path: Path) -> None:
    config = tmp_path / "a.yaml"
    with socket.create_server(("127.0.0.1", 0)) as other:
        config.write_text(good(tmp_path, f"listen_port: {other.getsockname()[1]}"), encoding="utf-8")
        code, output = await command("serve", "--config", config)
    assert code == 1
    assert "is in use by another program (stop the program that listens there" in output


def test_settings_that_are_missing_are_answered_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert open_settings(str(tmp_path / "none.yaml"), read_settings, {}) is None
    assert "there are no settings: " in capsys.readouterr().err
    assert open_settings(WITNESS_FILE, read_witness_settings, {}) is None
    assert f"{WITNESS_FILE} does not exist (copy /etc/whence/witness.sample.yaml to it" in capsys.readouterr().err


async def test_git_that_is_missing_is_no_bug_but_a_program_to_install(tmp_path: Path) -> None:
    with pytest.raises(GitMissing) as caught:
        await GitRuns(path=str(tmp_path)).run(
            str(tmp_path), "--version", bounds=GitBounds(seconds_max=5, file_bytes_max=1024)
        )
    assert "the program git is not in" in caught.value.message
    assert "apt-get install git" in caught.value.fix


ORGANISATION = """
teams:
  - id: pay
    aliases: [ship]
    members: ["a b"]
  - id: ship
accounts:
  - id: "12"
"""


async def test_every_mistake_in_the_file_of_the_organisation_has_its_place_and_a_fix(tmp_path: Path) -> None:
    file = tmp_path / "organisation.yaml"
    file.write_text(ORGANISATION)
    problems = await checked(good(tmp_path, f"organisation: {{file: {file}}}"))
    assert [(one.severity, one.message, one.fix) for one in problems] == [
        (
            "error", f"organisation.file: {file}:4:15: teams[0].aliases: 'ship' is the id of another team",
            "remove the other team, so that the two merge, or the alias",
        ),
        (
            "error", f"organisation.file: {file}:5:15: teams[0].members: 'a b' cannot be a uid",
            "write the uid that the person signs in with: printable ASCII without spaces",
        ),
        (
            "error", f"organisation.file: {file}:8:5: accounts[0].id: '12' is not an account id",
            "write its 12 digits, in quotes",
        ),
    ]  # fmt: skip
    assert {one.line for one in problems} == {9}
    file.write_text("teams: [")
    assert [one.severity for one in await checked(good(tmp_path, f"organisation: {{file: {file}}}"))] == ["error"]
    file.unlink()
    (missing,) = await checked(good(tmp_path, f"organisation: {{file: {file}}}"))
    assert missing.message == f"organisation.file: {file} cannot be read: No such file or directory"


async def test_every_mistake_in_the_people_file_has_its_place(tmp_path: Path) -> None:
    file = tmp_path / "people.yaml"
    file.write_text("people:\n  - {names: [ada], emails: [ada]}\n  - {names: [ada], emails: []}\n", encoding="utf-8")
    text = good(tmp_path, f"approvals: {{people_file: {file}}}")
    assert [(one.severity, one.code, one.message) for one in await checked(text)] == [
        (
            "error",
            "people-file",
            f"approvals.people_file: {file}:2:29: people[0].emails: 'ada' is not an e-mail address",
        ),
        ("error", "people-file", f"approvals.people_file: {file}:3:14: people[1].names: 'ada' is another person's too"),
    ]
    file.unlink()
    (missing,) = await checked(text)
    assert (missing.message, missing.fix) == (
        f"approvals.people_file: {file} cannot be read: No such file or directory", "correct the path or the file's mode",
    )  # fmt: skip


async def test_sources_of_the_organisation_that_do_not_answer_or_refuse_are_warnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    service = f"organisation: {{team_service: {{url: 'http://127.0.0.1:{free_port()}'}}}}"
    (unreachable,) = await checked(good(tmp_path, service))
    assert (unreachable.severity, unreachable.code) == ("warning", "team-service-unreachable")
    async with Organizations(pages={}, refusals={"ListAccounts": DENIED}).serve() as aws:
        (denied,) = await checked(good(tmp_path, "organisation: {aws: {}}", f"aws_endpoint_url: {aws.url}"))
    assert (denied.severity, denied.code) == ("warning", "aws-organization-denied")
    assert "delegation policy" in denied.fix
    async with Organizations(pages={"ListAccounts": [{"Accounts": []}]}).serve() as aws:
        assert await checked(good(tmp_path, "organisation: {aws: {}}", f"aws_endpoint_url: {aws.url}")) == []
    token = f"organisation: {{team_service: {{url: 'https://t.example.org', token_file: {tmp_path}/none}}}}"
    (unread,) = await checked(good(tmp_path, token))
    assert (unread.severity, unread.message) == (
        "warning", f"organisation.team_service.token_file {tmp_path}/none cannot be read: No such file or directory",
    )  # fmt: skip


async def test_mistakes_in_the_configuration_of_accounts_are_named_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "accounts.yaml"
    lines = ("account_configuration:", f"  file: {file}", "  role: fullstop")
    missing = await checked(good(tmp_path, *lines))
    assert [one.message for one in missing] == [
        f"account_configuration.file: {file} cannot be read: No such file or directory"
    ]
    file.write_text('version: 11\nglobal:\n  regiones: [eu-west-1]\naccounts: {one: {id: "1"}}\n', encoding="utf-8")
    wrong = await checked(good(tmp_path, *lines))
    assert all(one.code == "account-configuration" and one.severity == "error" and one.line == 10 for one in wrong)
    messages = [one.message for one in wrong]
    assert any(f"{file}:3:3: global.regiones: unknown" in one for one in messages), messages
    assert any(f"{file}:4:" in one and "is not the id of an account" in one for one in messages)
    status, output = await command("serve", "--config", _written(tmp_path, good(tmp_path, *lines)))
    assert status == 78
    assert f"{file}:3:3" in output
    file.write_text(
        'version: 11\nglobal: {regions: [eu-west-1]}\naccounts:\n  one: {id: "111111111111", alias: One_}\n'
        '  two: {id: "222222222222", kms: {"aws/x": {}}}\n'
    )
    wrong = await checked(good(tmp_path, *lines))
    assert [one.message.split(" is not")[0].split(": ", 1)[1] for one in wrong] == [
        f"{file}:4:29: accounts.one.alias: 'One_'", f"{file}:5:35: accounts.two.kms.aws/x"
    ]  # fmt: skip
    status, output = await command("serve", "--config", _written(tmp_path, good(tmp_path, *lines)))
    assert status == 78
    assert f"{file}:4:29" in output
    file.write_text('version: 11\nglobal: {regions: [eu-west-1]}\naccounts: {one: {id: "111111111111"}}\n')
    assert await checked(good(tmp_path, *lines)) == []


def _written(home: Path, text: str) -> Path:
    path = home / "aggregator.yaml"
    path.write_text(text, encoding="utf-8")
    return path
