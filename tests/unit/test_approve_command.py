"""`whence approve` and `whence versions`: what is approved is shown first, and exactly that digest is sent."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from whence_aggregator.whence.cli import whence

WHENCE = Path(sys.executable).parent / "whence"
DIGEST, OLD = "sha256:" + "d" * 64, "sha256:" + "e" * 64
AT = "2026-11-22T12:00:00.000Z"


def approval(type_: str, by: str, digest: str = DIGEST) -> dict[str, Any]:
    return {
        "approval_type": type_, "user_id": by, "approved_at": AT, "notes": None, "digest": digest, "ledger_index": 7,
    }  # fmt: skip


VERSION: dict[str, Any] = {
    "id": "1.0", "application_id": "greeter", "artifact": "docker://registry.example.org/hello/greeter:1.0",
    "notes": None, "digest": DIGEST, "digest_source": "push", "reason": None,
    "digests": [
        {"digest": DIGEST, "source": "push", "said_by": "hello", "reference": "r", "ledger_index": 3, "recorded_at": AT}
    ],
    "approvals": [approval("TEST", "bob")], "superseded": [approval("DEPLOY", "eve", OLD)],
    "commits": [{"commit": "c" * 40, "repository": "git.example.org/hello/greeter", "subject": "PAY-7: pay\x1b[2J",
                 "author": "Ada <ada@example.org>", "tickets": ["PAY-7"]}],
}  # fmt: skip


class Aggregator:
    def __init__(self) -> None:
        self.version = dict(VERSION)
        self.posted: list[tuple[str, dict[str, Any]]] = []
        self.url = ""
        self.refuses: dict[str, Any] | None = None


@pytest.fixture
def aggregator() -> Iterator[Aggregator]:
    held = Aggregator()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            whole = self.path.partition("?")[0].endswith("/1.0")
            self._say(200, held.version if whole else {"versions": [held.version], "next": None})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            held.posted.append((self.path, body))
            if held.refuses is not None:
                self._say(409, held.refuses)
            else:
                self._say(200, approval(body["approval_type"], "ada"))

        def _say(self, status: int, document: object) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_request(self, code: object = "-", size: object = "-") -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    held.url = f"http://127.0.0.1:{server.server_port}"
    yield held
    server.shutdown()
    thread.join()
    server.server_close()


def ask(held: Aggregator, *arguments: str) -> Result:
    return CliRunner(env={"WHENCE_TOKEN": "t", "WHENCE_URL": held.url}).invoke(whence, arguments)


def on_a_terminal(held: Aggregator, answers: str, *arguments: str) -> tuple[int, str]:
    """Run the command with a terminal as its input, and type the answers."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "WHENCE_TOKEN": "t", "WHENCE_URL": held.url, "TERM": "dumb"}
    with subprocess.Popen(
        [WHENCE, *arguments], stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    ) as process:
        os.close(theirs)
        os.write(ours, answers.encode())
        output, _ = process.communicate(timeout=60)
    os.close(ours)
    return process.returncode, output.decode()


def test_what_is_approved_is_shown_and_exactly_that_digest_is_sent(aggregator: Aggregator) -> None:
    result = ask(aggregator, "approve", "greeter", "1.0", "--type", "CODE_CHANGE", "--notes", "read it", "--yes")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "version       greeter 1.0",
        "artifact      docker://registry.example.org/hello/greeter:1.0",
        f"digest        {DIGEST}",
        f"commit        {'c' * 40} of git.example.org/hello/greeter: PAY-7: pay\ufffd[2J (Ada <ada@example.org>)",
        "tickets       PAY-7",
        f"seen          {DIGEST} pushed for team hello, ledger 3",
        f"approved      TEST by bob at {AT}, ledger 7",
        f"was approved  DEPLOY by eve at {AT}, ledger 7, of {OLD}",
        f"approved  CODE_CHANGE by ada at {AT}, ledger 7",
    ]
    body = {"approval_type": "CODE_CHANGE", "notes": "read it", "digest": DIGEST}
    assert aggregator.posted == [("/apps/greeter/versions/1.0/approvals", body)]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (None, ""),
        ({"counts": "yes", "reason": None, "note": "2 commits"}, ""),
        ({"counts": "no", "reason": "you are an author", "note": "2 commits"},
         "your approval of CODE_CHANGE will not count: you are an author (2 commits)"),
        ({"counts": "unknown", "reason": "not read", "note": "not read"},
         "your approval of CODE_CHANGE may not count: not read"),
    ],
)  # fmt: skip
def test_an_author_is_told_that_the_approval_of_the_code_will_not_count(
    aggregator: Aggregator, told: dict[str, Any] | None, said: str
) -> None:
    aggregator.version["code_change"] = told
    result = ask(aggregator, "approve", "greeter", "1.0", "--type", "CODE_CHANGE", "--yes")
    assert (result.exit_code, len(aggregator.posted)) == (0, 1), "it is given all the same"
    assert result.stderr.strip() == said
    assert "approval of" not in ask(aggregator, "approve", "greeter", "1.0", "--type", "TEST", "--yes").stderr


def test_each_type_is_asked_for_on_a_terminal(aggregator: Aggregator) -> None:
    code, said = on_a_terminal(aggregator, "n\ny\nn\nn\n", "approve", "greeter", "1.0")
    assert code == 0, said
    assert [body["approval_type"] for _, body in aggregator.posted] == ["CODE_CHANGE"]
    assert said.index(f"digest        {DIGEST}") < said.index(f"Approve SPECIFICATION of {DIGEST}?")


def test_nothing_is_approved_that_nobody_confirmed(aggregator: Aggregator) -> None:
    code, said = on_a_terminal(aggregator, "n\n", "approve", "greeter", "1.0", "--type", "DEPLOY")
    assert (code, aggregator.posted) == (1, []), said
    assert "nothing was approved" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--yes"], "--yes needs --type: name what is approved"),
        (["--type", "DEPLOY"], "nobody can be asked, as stdin is not a terminal: use --type and --yes"),
        ([], "nobody can be asked"),
    ],
)
def test_a_script_names_what_it_approves(aggregator: Aggregator, arguments: list[str], message: str) -> None:
    result = ask(aggregator, "approve", "greeter", "1.0", *arguments)
    assert (result.exit_code, aggregator.posted) == (2, [])
    assert message in result.stderr


def test_a_version_without_a_digest_cannot_be_approved(aggregator: Aggregator) -> None:
    aggregator.version |= {"digest": None, "digests": [], "commits": [], "reason": "no image of this version is known"}
    result = ask(aggregator, "approve", "greeter", "1.0", "--type", "DEPLOY", "--yes")
    assert (result.exit_code, aggregator.posted) == (1, [])
    assert "nothing to approve: no image of this version is known" in result.stderr


def test_an_image_that_only_instances_state_is_not_approved_unseen(aggregator: Aggregator) -> None:
    aggregator.version |= {"digest_source": "statement", "reason": "only instances state the image of this version"}
    result = ask(aggregator, "approve", "greeter", "1.0", "--type", "DEPLOY", "--yes")
    assert (result.exit_code, aggregator.posted) == (1, [])
    assert "not approved with --yes: only instances state the image of this version; push the image" in result.stderr
    code, said = on_a_terminal(aggregator, "y\n", "approve", "greeter", "1.0", "--type", "DEPLOY")
    assert (code, [body["digest"] for _, body in aggregator.posted]) == (0, [DIGEST]), said


def test_a_digest_that_was_superseded_meanwhile_is_refused(aggregator: Aggregator) -> None:
    aggregator.refuses = {"code": "approval-superseded", "detail": "it was the image", "fix": "look again"}
    result = ask(aggregator, "approve", "greeter", "1.0", "--type", "DEPLOY", "--yes")
    assert result.exit_code == 3
    assert "it was the image" in result.stderr


def test_versions_are_listed_by_the_applications_name_alone(aggregator: Aggregator) -> None:
    for arguments in (["greeter"], ["list", "greeter"], ["--limit", "5", "greeter"]):
        result = ask(aggregator, "versions", *arguments)
        assert result.exit_code == 0, result.output
        assert "TEST: bob" in result.stdout
        assert result.stderr == "1 in total\n"
    shown = ask(aggregator, "versions", "show", "greeter", "1.0")
    assert (shown.exit_code, f"digest        {DIGEST}" in shown.stdout) == (0, True)
    assert json.loads(ask(aggregator, "versions", "show", "greeter", "1.0", "--json").stdout) == VERSION
    assert ask(aggregator, "versions", "--help").exit_code == 0
    assert ask(aggregator, "versions", "..").exit_code == 4
