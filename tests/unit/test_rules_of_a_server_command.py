"""`whence rules`: what is judged, why a rule is not in force, and which rules of one's own fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from click.testing import CliRunner, Result

from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.whence.cli import whence

BROKEN = {
    "id": "own-signed-twice", "version": 3, "title": "The image has two signatures", "severity": 2,
    "rationale": "One key may be stolen.", "remedy": "Sign it twice.", "audit_relevant": True, "kind": "version",
    "link": None, "examples": [], "own": True, "digest": "sha256:" + "a" * 64, "in_force": True, "reason": None,
    "failing": "it takes longer than 1 s\x1b[2J",
}  # fmt: skip


@pytest.fixture
def url() -> Iterator[str]:
    """A server with the rules of the catalogue, one of them switched off, and a rule of its own that fails."""
    rules = RulesInForce.of(off={"drift": "noisy until December"}).to_wire()
    content = json.dumps({"rules": [*rules, BROKEN]}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_request(self, code: object = "-", size: object = "-") -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def run(url: str, *words: str) -> Result:
    return CliRunner().invoke(whence, ["--url", url, *words])


def test_an_unknown_rule_is_exit_code_4_with_the_nearest_id(url: str) -> None:
    found = run(url, "rules", "show", "drit")
    assert (found.exit_code, "there is no rule drit: did you mean drift?" in found.output) == (4, True), found.output


def test_a_failing_rule_is_exit_code_1_and_is_shown_without_control_characters(url: str) -> None:
    for words in (("rules",), ("rules", "list", "--own"), ("rules", "show", "own-signed-twice")):
        found = run(url, *words)
        assert (found.exit_code, "it takes longer than 1 s" in found.output) == (1, True), found.output
        assert "\x1b" not in found.output
    assert run(url, "rules", "--state", "failing").stdout.splitlines()[1].startswith("own-signed-twice  version")


def test_options_before_the_subcommand_are_refused_instead_of_ignored(url: str) -> None:
    found = run(url, "rules", "--own", "show", "drift")
    assert (found.exit_code, "options stand after show" in found.output) == (2, True), found.output
    assert run(url, "rules", "--kind", "cellar").exit_code == 2


def test_a_rule_that_is_switched_off_is_listed_with_its_reason(url: str) -> None:
    listed = run(url, "rules", "list", "--state", "off", "--kind", "instance")
    line = next(one for one in listed.stdout.splitlines() if one.startswith("drift "))
    assert (listed.exit_code, line.split("off", 1)[1].strip()) == (0, "it is switched off: noisy until December")
    shown = run(url, "rules", "show", "drift")
    assert (shown.exit_code, "noisy until December" in shown.stdout, "remedy" in shown.stdout) == (0, True, True)


def test_json_is_what_the_server_returned_of_the_rules_that_match(url: str) -> None:
    document: dict[str, Any] = json.loads(run(url, "rules", "list", "--own", "--json").stdout)
    assert [one["id"] for one in document["rules"]] == ["own-signed-twice"]
    assert json.loads(run(url, "rules", "show", "drift", "--json").stdout)["in_force"] is False
    worst = json.loads(run(url, "rules", "--severity", "1", "--json").stdout)["rules"]
    assert {one["severity"] for one in worst} == {1}


def test_each_command_about_violations_describes_itself() -> None:
    for words in (
        ("violations",), ("violation", "show"), ("exempt",), ("unexempt",), ("acknowledge",), ("summary",), ("rules",),
        ("rules", "list"), ("rules", "show"),
    ):  # fmt: skip
        found = CliRunner().invoke(whence, [*words, "--help"])
        assert (found.exit_code, "--json" in found.output) == (0, True), words
