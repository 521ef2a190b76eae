"""`whence summary`, `whence coverage`, `whence check`, `whence report` and `whence accounts check`: what they print, and how they exit."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from click.testing import CliRunner, Result

from whence_aggregator.whence.cli import whence
from whence_common.digest import sha256_digest

NONE = {"pass": 0, "fail": 0, "unknown": 0, "folded": 0, "total": 0}
GOOD = {**NONE, "pass": 3, "total": 3}
READ: dict[str, Any] = {
    "source": "inventory", "account_id": "123456789012", "region": "eu-central-1", "name": None, "state": "read",
    "read_at": "2026-11-22T12:00:00.000Z", "age_seconds": 4.0, "failed_at": None, "reason": None, "permission": None,
    "count": 0,
}  # fmt: skip
DENIED = {**READ, "state": "failed", "reason": "denied\x1b[2J", "permission": "ec2:DescribeInstances"}
REFUSED = {"code": "report-unknown", "title": "Not Found", "status": 404, "detail": "no file has this digest"}
COMPLETE = {"complete": True, "incomplete_total": 0, "incomplete": []}
INCOMPLETE = {"complete": False, "incomplete_total": 1, "incomplete": [DENIED]}


def answer(verdicts: dict[str, int], coverage: dict[str, Any], unheard: int = 0) -> dict[str, Any]:
    group = {"verdicts": verdicts, "subjects": {"instance": GOOD}}
    return {
        "by": "team", "at": "2026-11-22T12:00:00.000Z", "snapshot": None, "groups": [{"team": None, **group}],
        "total": {**group, "unheard": unheard}, "coverage": coverage,
    }  # fmt: skip


@pytest.fixture
def served() -> Iterator[dict[str, Any]]:
    """Answers by path, and the URL that serves them."""
    held: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = held[unquote(urlsplit(self.path).path)]
            content = json.dumps(found).encode()
            self.send_response(404 if found is REFUSED else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            held["asked"] = self.path
            self.do_GET()

        def log_request(self, code: object = "-", size: object = "-") -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        held["url"] = f"http://127.0.0.1:{server.server_port}"
        yield held
        server.shutdown()
        thread.join()


def run(served: dict[str, Any], *words: str) -> Result:
    return CliRunner().invoke(whence, ["--url", served["url"], *words], env={"WHENCE_TOKEN": "x"})


@pytest.mark.parametrize(
    ("verdicts", "coverage", "unheard", "code"),
    [
        (GOOD, COMPLETE, 0, 0),
        ({**GOOD, "fail": 1}, COMPLETE, 0, 1),
        ({**GOOD, "unknown": 1}, COMPLETE, 0, 1),
        ({**GOOD, "folded": 1}, COMPLETE, 0, 1),
        (GOOD, COMPLETE, 1, 1),
        (GOOD, INCOMPLETE, 0, 5),
        ({**GOOD, "fail": 1}, INCOMPLETE, 0, 5),
    ],
)
def test_a_summary_exits_5_before_1_before_0(
    served: dict[str, Any], verdicts: dict[str, int], coverage: dict[str, Any], unheard: int, code: int
) -> None:
    served["/v1/summary"] = answer(verdicts, coverage, unheard)
    assert run(served, "summary").exit_code == code


def test_a_summary_of_no_verdict_exits_1_and_states_that_nothing_was_judged(served: dict[str, Any]) -> None:
    served["/v1/summary"] = answer(dict.fromkeys(GOOD, 0), COMPLETE)
    said = run(served, "summary", "--team", "hello")
    assert (said.exit_code, "nothing was judged" in said.stderr) == (1, True)


def test_a_summary_prints_groups_the_total_and_what_was_not_read(served: dict[str, Any]) -> None:
    served["/v1/summary"] = answer({**GOOD, "fail": 1}, INCOMPLETE)
    said = run(served, "summary")
    lines = said.stdout.splitlines()
    assert lines[0].split() == ["team", "pass", "fail", "unknown", "folded", "total", "instances", "failing", "unheard"]
    assert lines[1].startswith("(no team)")
    assert lines[2].startswith("total")
    assert "not complete: inventory 123456789012/eu-central-1 failed (missing permission: ec2:DescribeInstances)" in (
        said.output
    )
    assert "\x1b" not in said.output, "control characters of a reason do not reach the terminal"


def test_a_trend_prints_days_and_refuses_a_moment_beside_it(served: dict[str, Any]) -> None:
    days = [{"day": "2026-11-22", "verdicts": None, "ledger_index": None},
            {"day": "2026-11-23", "verdicts": GOOD, "ledger_index": 7}]  # fmt: skip
    served["/v1/summary/trend"] = {"from": "2026-11-22", "to": "2026-11-23", "days": days}
    said = run(served, "summary", "--from", "2026-11-22")
    assert said.exit_code == 0
    assert [line.split()[:2] for line in said.stdout.splitlines()[1:3]] == [["2026-11-22", "no"], ["2026-11-23", "3"]]
    assert run(served, "summary", "--from", "2026-11-22", "--at", "2026-11-22T12:00:00Z").exit_code == 2


VIOLATION = {
    "id": "v-1", "state": "open", "verdict": "fail", "rule": "source-dirty", "severity": 1, "suppressed": False,
    "subject": {"kind": "version", "id": "greeter@1.0"}, "reason": "r", "since": "2026-11-22T12:00:00.000Z",
}  # fmt: skip


@pytest.mark.parametrize("words", [["violations"], ["violations", "--grouped"], ["violations", "--format", "sarif"]])
@pytest.mark.parametrize(("coverage", "code"), [(COMPLETE, 0), (INCOMPLETE, 5), (None, 5)])
def test_an_empty_list_of_violations_is_good_only_if_everything_was_read(
    served: dict[str, Any], words: list[str], coverage: dict[str, Any] | None, code: int
) -> None:
    served["/v1/violations"] = {"violations": [], "next": None} | ({"coverage": coverage} if coverage else {})
    said = run(served, *words)
    assert said.exit_code == code
    assert ("not complete" in said.stderr) is (code == 5)
    assert "not complete" not in said.stdout


@pytest.mark.parametrize(
    "path, words", [("violations", ["violations", "--grouped"]), ("findings", ["findings", "list"])]
)
def test_an_incomplete_list_exits_5_before_1(served: dict[str, Any], path: str, words: list[str]) -> None:
    served[f"/v1/{path}"] = {path: [{**VIOLATION, "subjects": []}], "next": None, "coverage": INCOMPLETE}
    said = run(served, *words)
    assert said.exit_code == 5
    assert "(missing permission: ec2:DescribeInstances)" in said.stderr
    served[f"/v1/{path}"]["coverage"] = COMPLETE
    assert run(served, *words).exit_code == 1


@pytest.mark.parametrize(
    ("verdict", "suppressed", "code"),
    [("pass", False, 0), ("unknown", False, 1), ("fail", True, 0), ("fixed", False, 0)],
)
def test_a_list_of_findings_exits_1_for_those_that_count(
    served: dict[str, Any], verdict: str, suppressed: bool, code: int
) -> None:
    one = {"verdict": verdict, "suppressed": suppressed, "subjects": []}
    served["/v1/findings"] = {"findings": [one], "next": None, "coverage": COMPLETE}
    assert run(served, "findings", "list").exit_code == code


def test_more_sources_than_an_answer_names_are_counted(served: dict[str, Any]) -> None:
    many = {"complete": False, "incomplete_total": 60, "incomplete": [DENIED] * 50}
    served["/v1/violations"] = {"violations": [], "next": None, "coverage": many}
    said = run(served, "violations")
    assert said.stderr.count("not complete: inventory") == 20
    assert "not complete: 40 more sources; see whence coverage" in said.stderr


def test_coverage_exits_5_if_a_source_was_not_read(served: dict[str, Any]) -> None:
    served["/v1/coverage"] = {"complete": True, "sources": [READ]}
    assert run(served, "coverage").exit_code == 0
    served["/v1/coverage"] = {"complete": False, "sources": [READ, DENIED]}
    assert run(served, "coverage").exit_code == 5


ALLOWED = {
    "account_id": "123456789012", "region": "eu-central-1", "source": "inventory", "outcome": "allowed",
    "permission": "ec2:DescribeInstances", "reason": None,
}  # fmt: skip


def checked(*rows: dict[str, Any], configured: bool = True) -> dict[str, Any]:
    return {"configured": configured, "checks": list(rows), "next": None}


def test_accounts_check_names_what_the_role_may_not_do(served: dict[str, Any]) -> None:
    organisation = {**DENIED, "source": "organisation", "account_id": None, "region": None, "name": "aws"}
    served["/v1/coverage"] = {"complete": False, "sources": [READ, organisation]}
    served["/v1/accounts/check"] = checked(ALLOWED)
    assert run(served, "accounts", "check").exit_code == 0, "the organisation is not read by an account's role"
    denied = {**ALLOWED, "source": "user data", "outcome": "denied", "permission": "ec2:DescribeInstanceAttribute",
              "reason": "no\x1b[2J"}  # fmt: skip
    served["/v1/accounts/check"] = checked(ALLOWED, denied)
    said = run(served, "accounts", "check", "123456789012")
    assert said.exit_code == 5
    assert served["asked"] == "/v1/accounts/check?account=123456789012"
    assert "ec2:DescribeInstanceAttribute" in said.stdout
    assert "ec2:DescribeInstances " not in said.stdout, "what is allowed is not missing"
    assert "\x1b" not in said.stdout


@pytest.mark.parametrize("outcome", ["denied", "unavailable", "not asked"])
def test_accounts_check_exits_5_unless_everything_is_known_to_work(served: dict[str, Any], outcome: str) -> None:
    served["/v1/coverage"] = {"complete": True, "sources": []}
    served["/v1/accounts/check"] = checked({**ALLOWED, "outcome": outcome})
    assert run(served, "accounts", "check").exit_code == 5


def test_accounts_check_without_an_inventory_says_so_and_exits_5(served: dict[str, Any]) -> None:
    served["/v1/coverage"] = {"complete": True, "sources": []}
    served["/v1/accounts/check"] = checked(configured=False)
    said = run(served, "accounts", "check")
    assert (said.exit_code, "it assumes no role" in said.stderr) == (5, True)


def test_accounts_check_shows_a_trail_that_is_not_read(served: dict[str, Any]) -> None:
    trail = {**DENIED, "source": "trail", "permission": "s3:GetObject"}
    served["/v1/coverage"] = {"complete": False, "sources": [trail]}
    served["/v1/accounts/check"] = checked(ALLOWED)
    said = run(served, "accounts", "check")
    assert (said.exit_code, "s3:GetObject" in said.stdout) == (5, True)


@pytest.mark.parametrize(
    ("verdict", "complete", "code"),
    [("pass", True, 0), ("fail", True, 1), ("unknown", True, 1), ("pass", False, 5), ("fail", False, 5)],
)
def test_a_check_of_an_image_exits_5_before_1_before_0(
    served: dict[str, Any], verdict: str, complete: bool, code: int
) -> None:
    judged = {"rule": "source-dirty", "kind": "instance", "severity": 1, "verdict": verdict, "reason": "r",
              "folded_under": None}  # fmt: skip
    unread = [] if complete else [{"source": "the registry", "state": "failed", "reason": "away"}]
    served["/v1/check"] = {"verdicts": [judged], "complete": complete, "unread": unread}
    said = run(served, "check", "r.example.org/t/a@sha256:" + "a" * 64, "--application", "greeter")
    assert said.exit_code == code
    assert ("not read: the registry: away" in said.output) is not complete


FILES = {
    "report.html": "<p>\u00fc</p>\n", "violations.csv": "a\r\n", "steps.csv": "s\r\n", "assessment-results.json": "{}\n",
}  # fmt: skip


def reported(**changes: object) -> dict[str, Any]:
    digests = {name: sha256_digest(text.encode()) for name, text in FILES.items()}
    given = {
        "complete": True, "violations": 0, "open_at_end": 0, "findings_open": 0, "verdicts": 9, "files": FILES,
        "digests": digests, "ledger_index": 7, **changes,
    }  # fmt: skip
    return {"coverage": COMPLETE if given["complete"] else INCOMPLETE, **given}


@pytest.mark.parametrize(("complete", "violations", "code"), [(True, 0, 0), (True, 3, 1), (False, 0, 5), (False, 3, 5)])
def test_a_report_is_written_as_it_was_recorded(
    served: dict[str, Any], tmp_path: Path, complete: bool, violations: int, code: int
) -> None:
    served["/v1/reports"] = reported(complete=complete, violations=violations)
    period = ("--from", "2026-11-01", "--to", "2026-11-22")
    said = run(served, "report", "--team", "he llo", *period, "-o", str(tmp_path / "new" / "place"))
    assert said.exit_code == code
    assert served["asked"] == "/v1/reports?team=he+llo&from=2026-11-01&to=2026-11-22"
    written = {one.name: one.read_bytes() for one in (tmp_path / "new" / "place").iterdir()}
    assert written == {name: text.encode() for name, text in FILES.items()}
    assert "entry 7 of the log" in said.output


@pytest.mark.parametrize("open_", [{"open_at_end": 1}, {"findings_open": 1}, {"verdicts": 0}])
def test_a_report_that_lists_no_verdict_exits_1_if_anything_else_is_open_or_nothing_was_judged(
    served: dict[str, Any], tmp_path: Path, open_: dict[str, int]
) -> None:
    served["/v1/reports"] = reported(**open_)
    said = run(served, "report", "--team", "a", "--period", "2026-11", "-o", str(tmp_path))
    assert (said.exit_code, "nothing was judged" in said.stderr) == (1, "verdicts" in open_)


def test_a_file_that_is_not_what_was_recorded_is_not_written(served: dict[str, Any], tmp_path: Path) -> None:
    served["/v1/reports"] = reported(files={**FILES, "report.html": "<p>changed</p>"})
    words = ("report", "--account", "123456789012", "--from", "2026-11-01", "--to", "2026-11-22", "-o")
    said = run(served, *words, str(tmp_path / "out"))
    assert said.exit_code == 3
    assert "report.html does not have the digest that the aggregator recorded" in said.output
    assert not (tmp_path / "out").exists()


def test_a_report_is_about_a_team_or_an_account(served: dict[str, Any], tmp_path: Path) -> None:
    period = ("--from", "2026-11-01", "--to", "2026-11-22", "-o", str(tmp_path))
    assert run(served, "report", *period).exit_code == 2
    assert run(served, "report", "--team", "a", "--account", "123456789012", *period).exit_code == 2


def test_a_report_that_is_cut_exits_5_though_every_source_was_read(served: dict[str, Any], tmp_path: Path) -> None:
    served["/v1/reports"] = reported(complete=False, coverage=COMPLETE)
    words = ("report", "--team", "a", "--period", "2026-11", "-o", str(tmp_path))
    said = run(served, *words)
    assert said.exit_code == 5
    assert "not complete: there are more violations, steps or findings than a report lists" in said.stderr


@pytest.mark.parametrize(
    ("period", "asked"),
    [
        ("2026", "from=2026-01-01&to=2026-12-31"), ("2024-02", "from=2024-02-01&to=2024-02-29"),
        ("2026-Q4", "from=2026-10-01&to=2026-12-31"), ("2026-Q1", "from=2026-01-01&to=2026-03-31"),
    ],
)  # fmt: skip
def test_a_period_is_a_year_a_month_or_a_quarter(
    served: dict[str, Any], tmp_path: Path, period: str, asked: str
) -> None:
    served["/v1/reports"] = reported()
    assert run(served, "report", "--team", "a", "--period", period, "-o", str(tmp_path)).exit_code == 0
    assert served["asked"] == f"/v1/reports?team=a&{asked}"


@pytest.mark.parametrize(
    "words",
    [
        (), ("--period", "2026-13"), ("--period", "2026-Q5"), ("--period", "0000"), ("--period", "x"),
        ("--since", "2026-11-01"), ("--period", "2026", "--until", "2026-11-01"),
    ],
)  # fmt: skip
def test_a_period_that_is_none_is_a_usage_error(served: dict[str, Any], tmp_path: Path, words: tuple[str, ...]) -> None:
    assert run(served, "report", "--team", "a", "-o", str(tmp_path), *words).exit_code == 2
    assert run(served, "report", "--team", "a", "--period", "2026").exit_code == 2, "without a directory"


def test_a_file_is_verified_by_its_digest_and_a_changed_one_is_not_recorded(
    served: dict[str, Any], tmp_path: Path
) -> None:
    good, changed = tmp_path / "report.html", tmp_path / "changed.html"
    good.write_text("<p>as it was</p>")
    changed.write_text("<p>as it was not</p>")
    one = {
        "ledger_index": 7, "team": "hello", "account": None, "from": "2026-11-01", "to": "2026-11-30",
        "made_at": "2026-12-01T08:00:00.000Z", "made_by": "ada\x1b[2J", "digests": {}, "files": ["report.html"],
    }  # fmt: skip
    digest = sha256_digest(good.read_bytes())
    served[f"/v1/reports/{digest}"] = {"digest": digest, "reports": [one]}
    served[f"/v1/reports/{sha256_digest(changed.read_bytes())}"] = REFUSED
    said = run(served, "report", "verify", str(good))
    assert said.exit_code == 0
    assert "report.html of team hello from 2026-11-01 to 2026-11-30, made by ada" in said.stdout
    assert "\x1b" not in said.stdout
    both = run(served, "report", "verify", str(good), str(changed))
    assert both.exit_code == 4
    assert "changed.html: not recorded" in both.stderr
    assert "made by ada" in both.stdout, "one unknown file holds up no other"
