"""`whence findings push` and `list`: files are sent as they are, refusals are shown, exit codes mean what the help says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from click.testing import CliRunner, Result

from fakes.coverage import COVERED
from unit.test_violations_export import violation
from whence_aggregator.whence.cli import whence

RECORDED: dict[str, Any] = {
    "new": 2, "updated": 1, "unchanged": 4, "closed": 0, "refused": 0, "refusals": [], "complete": False,
    "incomplete_reason": None,
}  # fmt: skip


class Aggregator:
    def __init__(self) -> None:
        self.url = ""
        self.status = 201
        self.answer: dict[str, Any] = dict(RECORDED)
        self.listed: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.queries: list[dict[str, str]] = []
        self.reads = True
        self.limited = 0
        """How many requests are refused first, because of the rate."""
        self.coverage: dict[str, Any] | None = dict(COVERED)


@pytest.fixture
def aggregator() -> Iterator[Aggregator]:
    held = Aggregator()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            held.queries.append(dict(parse_qsl(urlsplit(self.path).query)))
            name = urlsplit(self.path).path.rpartition("/")[2]
            self._say(200, {name: held.listed, "next": None, "at": "now", "coverage": held.coverage})

        def do_POST(self) -> None:
            held.queries.append(dict(parse_qsl(urlsplit(self.path).query)))
            if held.reads:
                held.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            if held.limited:
                held.limited -= 1
                detail = "too many bytes from caller x"
                self._say(429, {"code": "rate-limited", "detail": detail}, retry_after="0")
            else:
                self._say(held.status, held.answer)

        def _say(self, status: int, document: object, *, retry_after: str | None = None) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            if retry_after is not None:
                self.send_header("Retry-After", retry_after)
            self.end_headers()
            self.wfile.write(content)

        def log_request(self, code: object = "-", size: object = "-") -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    held.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield held
    server.shutdown()
    thread.join()
    server.server_close()


def run(aggregator: Aggregator, *words: str) -> Result:
    return CliRunner().invoke(whence, ["--url", aggregator.url, "findings", *words], env={"WHENCE_TOKEN": "t"})


def test_a_file_is_sent_as_it_is_and_its_counts_are_printed(aggregator: Aggregator, tmp_path: Path) -> None:
    file = tmp_path / "run.ocsf.json"
    file.write_bytes(b'[ {"a": 1}\n]')
    found = run(aggregator, "push", str(file), "--complete", "--account", "123456789012")
    assert (found.exit_code, found.stdout) == (0, f"{file}: 2 new, 1 updated, 4 unchanged, 0 closed, 0 refused\n")
    assert aggregator.bodies == [b'[ {"a": 1}\n]']
    assert aggregator.queries == [{"complete": "true", "account": "123456789012"}]


def test_each_refusal_is_shown_and_ends_with_exit_code_1(aggregator: Aggregator, tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"[]")
    refusals = [
        {
            "position": n,
            "uid": f"u-{n}\x1b[2J",
            "field": "time",
            "code": "finding-time",
            "reason": "time: is not a time",
        }
        for n in range(25)
    ]
    aggregator.answer |= {"refused": 30, "refusals": refusals, "incomplete_reason": "30 findings were refused"}
    found = run(aggregator, "push", str(file))
    lines = found.stderr.splitlines()
    assert found.exit_code == 1
    assert lines[0] == f"whence: {file}: finding 0 (u-0\ufffd[2J): time: is not a time"
    assert lines[20:] == [
        f"whence: {file}: 10 more were refused: --json lists the first 1000",
        f"whence: {file}: nothing was closed, as the file is not complete: 30 findings were refused",
    ]


@pytest.mark.parametrize("status, code", [(400, 2), (413, 2), (401, 3), (403, 3), (503, 3)])
def test_a_refused_file_does_not_keep_the_next_from_being_sent(
    aggregator: Aggregator, tmp_path: Path, status: int, code: int
) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"[]")
    aggregator.status, aggregator.answer = status, {"code": "c", "detail": "because", "fix": "do this"}
    found = run(aggregator, "push", str(file), str(file))
    assert (found.exit_code, found.stderr) == (code, f"whence: {file}: because (do this)\n" * 2)


def test_the_answer_is_read_even_if_the_file_was_refused_before_it_was_read(
    aggregator: Aggregator, tmp_path: Path
) -> None:
    file = tmp_path / "large"
    file.write_bytes(b"[" + b" " * 40_000_000 + b"]")
    aggregator.reads, aggregator.status = False, 403
    aggregator.answer = {"code": "findings-forbidden", "detail": "you may not record findings", "fix": ""}
    found = run(aggregator, "push", str(file))
    assert found.exit_code == 3


def test_a_file_is_sent_again_after_the_time_that_the_server_states(aggregator: Aggregator, tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_bytes(b"[]")
    aggregator.limited = 2
    found = run(aggregator, "push", str(file))
    assert (found.exit_code, len(aggregator.bodies)) == (0, 3)
    assert found.stderr == f"whence: {file}: too many bytes from caller x: sent again in 0 seconds\n" * 2


def test_a_file_is_not_sent_again_without_an_end(aggregator: Aggregator, tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_bytes(b"[]")
    aggregator.limited = 1_000
    found = run(aggregator, "push", str(file))
    assert (found.exit_code, len(aggregator.bodies)) == (3, 10)


def test_the_progress_of_a_large_file_is_shown(aggregator: Aggregator, tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(b" " * 40_000_000)
    found = run(aggregator, "push", str(file))
    assert found.stderr == "".join(f"whence: {file}: {n} % of 40 MB sent\n" for n in (41, 83))
    assert len(aggregator.bodies[0]) == 40_000_000


@pytest.mark.parametrize("rows", [0, 3])
def test_all_violations_are_printed_for_other_tools(aggregator: Aggregator, rows: int) -> None:
    aggregator.listed = [violation(instance_id=f"i-0000000{n}") for n in range(rows)]
    for form in ("ocsf", "sarif"):
        found = CliRunner().invoke(whence, ["--url", aggregator.url, "violations", "--format", form])
        assert found.exit_code == (1 if rows else 0)
        document = json.loads(found.stdout)
        assert len(document if form == "ocsf" else document["runs"][0]["results"]) == rows


@pytest.mark.parametrize("state, code", [("reporting", 0), ("late", 1), ("never", 1)])
def test_a_scanner_that_does_not_report_ends_with_exit_code_1(aggregator: Aggregator, state: str, code: int) -> None:
    aggregator.listed = [{"state": state, "product": "prowler", "account_id": "123456789012"}]
    found = run(aggregator, "scanners")
    assert (found.exit_code, found.stdout.splitlines()[1].split()) == (code, [state, "prowler", "123456789012"])


def test_nothing_is_sent_without_a_file(aggregator: Aggregator) -> None:
    assert run(aggregator, "push").exit_code == 2
    assert run(aggregator, "push", "/nowhere").exit_code == 2
    assert aggregator.bodies == []


def test_a_list_shows_what_each_finding_is_about(aggregator: Aggregator) -> None:
    aggregator.listed = [{
        "verdict": "fail", "severity": 2, "rule": "prowler/x", "account_id": "123456789012", "since": "s",
        "last_seen": "l", "reason": "r", "suppressed": False, "subjects": [{"kind": "version", "id": "greeter@1.0", "team": "hello"}],
    }, {"verdict": "unknown", "suppressed": False, "subjects": []}]  # fmt: skip
    found = run(aggregator, "list", "--verdict", "fail", "--at", "2026-11-22T12:00:00Z")
    assert found.exit_code == 1
    assert found.stdout.splitlines()[1].split() == [
        "fail", "2", "prowler/x", "greeter@1.0", "hello", "123456789012", "s", "l", "r",
    ]  # fmt: skip
    assert aggregator.queries[0] == {"verdict": "fail", "at": "2026-11-22T12:00:00Z", "limit": "100"}
