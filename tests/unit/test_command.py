"""`whence`: lists are whole or say that they are not, exit codes mean what the help says, values are shown as they are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from click.testing import CliRunner, Result

from fakes.coverage import COVERED
from whence_aggregator.whence.cli import whence

WHENCE = Path(sys.executable).parent / "whence"


class Answers:
    """An aggregator that holds `total` rows of everything, or answers a path as a test says."""

    def __init__(self) -> None:
        self.total = 0
        self.row: dict[str, Any] = {"instance_id": "i-00000001", "application_id": "greeter"}
        self.said: dict[str, tuple[int, object]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.last: dict[str, Any] | None = None
        self.hang = threading.Event()

    def answer(self, target: str) -> tuple[int, object]:
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.asked.append((parts.path, query))
        if parts.path in self.said:
            return self.said[parts.path]
        name = {"trace": "lineages"}.get(parts.path.rpartition("/")[2], parts.path.rpartition("/")[2])
        first = int(query.get("cursor", 0))
        past = min(first + int(query.get("limit", 50)), self.total)
        rows = [{**self.row, "number": number} for number in range(first, past)]
        if past == self.total and rows and self.last is not None:
            rows[-1] = self.last
        following = str(past) if past < self.total else None
        return 200, {"at": "now", name: rows, "next": following, "coverage": COVERED}


@pytest.fixture
def answers() -> Iterator[tuple[Answers, str]]:
    held = Answers()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, document = held.answer(self.path)
            if document == "hang":
                held.hang.wait(30)
                return
            content = json.dumps(document).encode()
            self.send_response(status)
            if status in (301, 302, 303, 307, 308):
                self.send_header("Location", str(document))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_request(self, code: object = "-", size: object = "-") -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield held, f"http://127.0.0.1:{server.server_port}"
    held.hang.set()
    server.shutdown()
    thread.join()
    server.server_close()


def ask(url: str, *arguments: str) -> Result:
    return CliRunner(env={"WHENCE_TOKEN": "t", "WHENCE_URL": url}).invoke(whence, arguments)


def test_an_incomplete_list_reports_it_and_all_lists_every_row(answers: tuple[Answers, str]) -> None:
    held, url = answers
    held.total = 60_000
    short = ask(url, "instances")
    assert (short.exit_code, len(short.stdout.splitlines())) == (0, 101)
    assert short.stderr == "100 shown, and there are more: use --all, or --limit N for the first N\n"
    whole = ask(url, "instances", "--all")
    assert (len(whole.stdout.splitlines()), whole.stderr) == (60_001, "60000 in total\n")
    assert {query["limit"] for _, query in held.asked[1:]} == {"500"}


@pytest.mark.parametrize(
    "total, options, shown, note",
    [
        (0, [], 0, "0 in total"),
        (100, [], 100, "100 in total"),
        (101, ["--limit", "101"], 101, "101 in total"),
        (101, ["--limit", "1"], 1, "1 shown, and there are more"),
        (1_000, ["--limit", "700"], 700, "700 shown, and there are more"),
        (1_000, ["--limit", "5000"], 1_000, "1000 in total"),
    ],
)
def test_json_holds_the_rows_that_were_read_and_the_cursor_of_the_next(
    answers: tuple[Answers, str], total: int, options: list[str], shown: int, note: str
) -> None:
    held, url = answers
    held.total = total
    result = ask(url, "instances", "--json", *options)
    document = json.loads(result.stdout)
    assert ([row["number"] for row in document["instances"]], document["at"]) == (list(range(shown)), "now")
    assert document["next"] == (str(shown) if shown < total else None)
    assert result.stderr.startswith(note)


def test_an_invalid_limit_is_a_usage_error(answers: tuple[Answers, str]) -> None:
    for limit in ("0", "-1", "many", ""):
        assert ask(answers[1], "instances", "--limit", limit).exit_code == 2


@pytest.mark.parametrize("verdict, code", [("fail", 1), ("unknown", 1)])
def test_what_could_not_be_judged_is_a_gap_too(answers: tuple[Answers, str], verdict: str, code: int) -> None:
    held, url = answers
    held.total, held.row = 1, {"verdict": verdict, "rule": "agent-silent"}
    assert ask(url, "violations").exit_code == code
    assert ask(url, "violations", "--json").exit_code == code
    held.total = 0
    assert ask(url, "violations").exit_code == 0


@pytest.mark.parametrize(
    ("same", "missing", "code", "words"),
    [(True, [], 0, ""), (False, [], 1, ""), (False, [7, 9], 5, "removed from the log: entries 7, 9")],
)
def test_a_replay_exits_by_whether_the_verdicts_are_the_same(
    answers: tuple[Answers, str], same: bool, missing: list[int], code: int, words: str
) -> None:
    held, url = answers
    verdict = {"rule": "drift", "version": 1, "verdict": "fail", "reason": "exec", "replayed_verdict": "fail",
               "replayed_reason": "exec", "same": same}  # fmt: skip
    held.said["/v1/verdicts/41/replay"] = 200, {"same": same, "missing": missing, "verdicts": [verdict]}
    result = ask(url, "replay", "41")
    assert result.exit_code == code
    assert words in result.stderr
    assert "drift" in result.stdout
    assert ask(url, "replay", "the-newest").exit_code == 2


LINEAGE = {
    "subject": {"instance": "i-00000001"}, "at": "now", "complete": True, "links": [],
    "recorded_by_then": True, "reported_later": {"total": 0}, "not_checked": [], "life": "running", "life_since": None,
    "heard": "speaking", "last_seen": None,
}  # fmt: skip


def test_a_trace_sends_the_requested_states_and_by_default_none(answers: tuple[Answers, str]) -> None:
    held, url = answers
    held.total, held.row = (
        1,
        {**LINEAGE, "life": "terminated", "heard": "silent", "last_seen": "2026-11-22T12:00:00.000Z"},
    )
    assert "life terminated" in ask(url, "trace", "greeter", "--state", "terminated,silent").stdout
    ask(url, "trace", "greeter")
    assert [query.get("state") for path, query in held.asked if path == "/v1/trace"] == ["terminated,silent", None]


@pytest.mark.parametrize(
    ("subject", "parameter"),
    [("!12", "review"), ("demo/greeter!12", "review"), ("https://git.example.org/demo/greeter/pull/12", "review"),
     ("https://gitlab.example.org/a/b/-/merge_requests/12", "review"), ("#12", "ticket"), ("PAY-7", "ticket"),
     ("https://git.example.org/demo/greeter/issues/12", "application"), ("greeter", "application")],
)  # fmt: skip
def test_the_kind_of_a_subject_is_detected(subject: str, parameter: str, answers: tuple[Answers, str]) -> None:
    held, url = answers
    ask(url, "trace", subject)
    assert held.asked[0][1][parameter] == subject


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("PAY-7",), "ticket 'PAY-7'; only the commit that each image names was searched, not those before it;"),
        (("#12",), "not those before it; for a pull request add --review;"),
        (("abcdef0",), "commit 'abcdef0'; only the commit that each image names was searched"),
        (("sha256:" + "a" * 64,), "; for user data add --user-data;"),
        (("--ami", "ami-1"), "no running instance of ami 'ami-1'; --state any"),
    ],
)
def test_nothing_found_states_what_was_searched(
    arguments: tuple[str, ...], hint: str, answers: tuple[Answers, str]
) -> None:
    found = ask(answers[1], "trace", *arguments)
    assert found.exit_code == 4
    assert hint in found.stderr


def test_nothing_found_states_which_earlier_commits_were_searched(answers: tuple[Answers, str]) -> None:
    held, url = answers
    held.said["/v1/trace"] = (200, {"lineages": [], "ranges_waiting": 3, "next": None})
    assert (
        "no running instance of commit 'abcdef0'; commits before that of an image are found only in ranges between"
        " versions that were collected; 3 wait to be collected, so ask again later;"
    ) in ask(url, "trace", "abcdef0").stderr


def test_a_trace_tells_what_contains_a_commit_from_what_is_built_from_it(answers: tuple[Answers, str]) -> None:
    held, url = answers
    held.said["/v1/trace"] = (
        200,
        {"lineages": [LINEAGE, {**LINEAGE, "contains": ["d" * 40]}], "ranges_waiting": 0, "next": None},
    )
    found = ask(url, "trace", "ddddddd")
    assert found.stdout.count("contains dddddddddddd; was built from a later commit") == 1
    assert "only in ranges between versions that were collected\n" in found.stderr


def test_a_trace_is_complete_only_if_what_it_did_not_show_is(answers: tuple[Answers, str]) -> None:
    held, url = answers
    held.total, held.row = 1_200, LINEAGE
    result = ask(url, "trace", "greeter", "--limit", "2")
    assert (result.exit_code, result.stdout.count("complete")) == (0, 2)
    held.last = {**LINEAGE, "complete": False}
    result = ask(url, "trace", "greeter", "--limit", "2")
    assert (result.exit_code, result.stdout.count("complete"), "has gaps" in result.stdout) == (1, 2, False)
    assert ask(url, "trace", "greeter", "--json", "--all").exit_code == 1
    held.total = 0
    assert ask(url, "trace", "greeter").exit_code == 4


REGION = {
    "region": "eu-central-1", "listed_at": "2026-11-22T12:00:00.000Z", "running": 2, "speaking": 2, "silent": 0, "never": 0,
    "awaited": 0, "failure": None, "asked": "2 instances listed at 2026-11-22T12:00:00.000Z, 0 of them changed",
}  # fmt: skip


@pytest.mark.parametrize(
    "regions, code, shown",
    [
        ([REGION], 0, "eu-central-1"),
        ([{**REGION, "silent": 1}], 1, "eu-central-1"),
        ([], 1, "not listed: the account is not in the setting `accounts`, or there is no setting `inventory`"),
        ([{**REGION, "never": 1}], 1, "eu-central-1"),
        ([{**REGION, "unknown": {"speaking": 3, "silent": 1, "never": 0}}], 0, "3 speaking, 1 silent"),
        ([{**REGION, "listed_at": None, "running": None, "asked": ""}], 1, "EC2's inventory is not collected here"),
        ([{**REGION, "listed_at": None, "running": None, "asked": ""}], 1, "eu-central-1"),
        (
            [{**REGION, "failure": {"at": "x", "reason": "AccessDenied"}, "asked": "AccessDenied [not] for us"}],
            1,
            "AccessDenied [not] for us",
        ),
    ],
)
def test_an_account_that_is_not_listed_is_shown_and_is_a_gap(
    answers: tuple[Answers, str], regions: list[object], code: int, shown: str
) -> None:
    held, url = answers
    held.said["/v1/accounts"] = 200, {"accounts": [{"account_id": "123456789012", "regions": regions}], "next": None}
    for options in ([], ["--json"]):
        assert ask(url, "accounts", *options).exit_code == code
    assert shown in ask(url, "accounts").stdout


def test_accounts_show_owner_and_status_and_note_which_source_failed(answers: tuple[Answers, str]) -> None:
    held, url = answers
    account = {
        "account_id": "123456789012", "name": "prod", "owner": "pay", "status": "ACTIVE", "regions": [REGION],
    }  # fmt: skip
    failure = {"at": "2026-11-22T12:00:00.000Z", "reason": "AWS Organizations denies it\x1b[31m"}
    source: dict[str, object] = {"source": "aws", "read_at": None, "failure": failure, "notes": []}
    held.said["/v1/accounts"] = 200, {"accounts": [account], "next": None, "sources": [source]}
    result = ask(url, "accounts")
    assert [one in result.stdout for one in ("prod", "pay", "ACTIVE")] == [True, True, True]
    assert "aws: never read whole; failed at 2026-11-22T12:00:00.000Z: AWS Organizations denies it" in result.stderr
    assert "\x1b" not in result.stderr


def test_teams_note_which_source_failed(answers: tuple[Answers, str]) -> None:
    held, url = answers
    failure = {"at": "2026-11-22T12:00:00.000Z", "reason": "it cannot be read"}
    sources: list[dict[str, object]] = [
        {"source": "file", "read_at": "2026-11-22T11:00:00.000Z", "failure": failure, "notes": []},
        {"source": "groups", "read_at": "2026-11-22T11:00:00.000Z", "failure": None, "notes": []},
    ]
    held.said["/v1/teams"] = 200, {"teams": [], "next": None, "sources": sources}
    noted = "file: read whole at 2026-11-22T11:00:00.000Z; failed at 2026-11-22T12:00:00.000Z: it cannot be read"
    result = ask(url, "teams")
    assert (noted in result.stderr, "groups" in result.stderr) == (True, False)


def test_an_application_is_shown_with_the_team_that_it_is_offered_to(answers: tuple[Answers, str]) -> None:
    held, url = answers
    offer = {"offer": 27, "from_team": "hello", "to_team": "other"}
    held.said["/v1/applications/greeter"] = 200, {"id": "greeter", "team_id": "hello"}
    held.said["/v1/applications/greeter/handover"] = 200, {"open": offer, "handovers": [offer]}
    told = "offer 27: team hello offers greeter to team other, which may accept it (whence apps accept greeter)"
    assert told in ask(url, "apps", "greeter").stderr
    assert ask(url, "apps", "greeter", "--json").stderr == ""


def test_a_gap_that_is_not_required_is_marked(answers: tuple[Answers, str]) -> None:
    held, url = answers
    gap: dict[str, Any] = {"state": "missing", "reason": "none", "value": None, "problems": [], "evidence": []}
    links = [{**gap, "link": "team"}, {**gap, "link": "specification"}]
    held.total, held.row = 1, {**LINEAGE, "links": links, "required": ["team"]}
    lines = ask(url, "trace", "greeter").stdout.splitlines()
    assert [line.endswith("(not required)") for line in lines if "missing" in line] == [False, True]


def test_changes_that_removed_revisions_made_have_no_certain_author(answers: tuple[Answers, str]) -> None:
    held, url = answers
    revision: dict[str, object] = {
        "revision": 4, "removed_before": 2, "ledger_index": 30, "recorded_at": "2026-11-22T12:00:00.000Z",
        "recorded_by": "eve", "subject": None, "changes": [{"field": "subtitle", "from": None, "to": "s"}],
    }  # fmt: skip
    held.said["/v1/applications/greeter/history"] = 200, {"revisions": [revision], "next": None}
    assert "eve, or by 2 removed revisions" in ask(url, "apps", "history", "greeter").stdout
    revision["removed_before"] = 0
    assert "removed" not in ask(url, "apps", "history", "greeter").stdout


def test_one_team_is_shown_with_members_and_history_and_nothing_unprintable(answers: tuple[Answers, str]) -> None:
    held, url = answers
    change = {
        "team_id": "old", "change": "merged", "into": "pay", "source": "file", "ledger_index": 7,
        "observed_at": "2026-11-22T12:00:00.000Z",
    }  # fmt: skip
    held.said["/v1/teams/old"] = 200, {
        "team_id": "pay", "name": "Pay\x1b[31m", "aliases": ["old"], "status": "active", "into": None, "members": 1,
        "member_ids": ["ada"], "sources": [{"source": "file", "observed_at": "then", "ledger_index": 5}],
        "history": [change],
    }  # fmt: skip
    result = ask(url, "teams", "show", "old")
    lines = result.stdout.splitlines()
    assert (lines[0], lines[2:5]) == (
        "team    pay (active)", ["aliases old", "members ada", "source  file at then, ledger 5"],
    )  # fmt: skip
    assert lines[5] == "history 2026-11-22T12:00:00.000Z old merged into pay (file, ledger 7)"
    assert "\x1b" not in result.stdout
    assert json.loads(ask(url, "teams", "show", "old", "--json").stdout)["member_ids"] == ["ada"]


def test_one_account_is_shown_with_what_differs_from_its_configuration(answers: tuple[Answers, str]) -> None:
    held, url = answers
    doer = {"at": "then", "event": "PutRolePolicy", "event_id": "e", "by": "ada\x1b[31m", "reason": ""}
    first = {"address": "role/x", "step": "roles", "action": "update", "aspects": ["trust"], "lines": ["trust: a → b"]}
    drift = {
        "state": "drifted", "reason": None, "observed_at": "2026-11-22T12:00:00.000Z", "due_at": "soon", "account": "prod",
        "configuration": "sha256:00", "changes": 3, "unread": [{"address": "eu-west-1/vpc/*", "reason": "denied"}],
        "first": [{**first, "doer": doer}, {**first, "doer": {**doer, "by": "", "reason": "no event names it"}}],
    }  # fmt: skip
    plan = {
        "account_id": "123456789012", "ledger_index": 9, "plan": "sha256:1", "report": "sha256:2", "begun_at": "then",
        "ended_at": "2026-11-22T11:00:00.000Z", "applied_by": "ops", "changed": 4, "failed": 1, "error": "it moved",
    }  # fmt: skip
    held.said["/v1/account-plans"] = 200, {"plans": [plan], "next": None}
    held.said["/v1/accounts/123456789012"] = 200, {
        "account_id": "123456789012", "name": "prod", "status": None, "path": None, "owner": None, "owners": {},
        "allows": [], "tags": {}, "sources": [{"source": "aws", "observed_at": "then", "ledger_index": 5}],
        "history": [], "drift": drift,
    }  # fmt: skip
    shown = ask(url, "accounts", "show", "123456789012").stdout
    assert shown.splitlines()[6:] == [
        "drift   3 differ since 2026-11-22T12:00:00.000Z; read again soon",
        "differs update role/x (PutRolePolicy by ada\ufffd[31m at then)",
        "        trust: a → b",
        "differs update role/x (no event names it)",
        "        trust: a → b",
        "differs 1 more: whence-accounts plan",
        "unread  eu-west-1/vpc/*: denied",
        "applied 2026-11-22T11:00:00.000Z 4 changed, 1 not by ops (ledger 9): it moved",
    ]


def test_one_account_is_shown_with_its_owners_and_history(answers: tuple[Answers, str]) -> None:
    held, url = answers
    change = {
        "change": "found", "source": "aws", "ledger_index": 7, "observed_at": "2026-11-22T12:00:00.000Z", "owner": "pay",
        "status": "ACTIVE", "path": "Root",
    }  # fmt: skip
    held.said["/v1/account-plans"] = 200, {"plans": [], "next": None}
    held.said["/v1/accounts/123456789012"] = 200, {
        "account_id": "123456789012", "name": "prod", "status": "ACTIVE", "path": "Root", "owner": None,
        "owners": {"file": "ops", "aws": "pay"}, "allows": ["ship"], "tags": {"cost": "7"},
        "sources": [{"source": "aws", "observed_at": "then", "ledger_index": 5}], "history": [change],
    }  # fmt: skip
    assert ask(url, "accounts", "show", "123456789012").stdout.splitlines() == [
        "account 123456789012 (ACTIVE)", "name    prod", "path    Root", "owner", "owned   by ops as file states",
        "owned   by pay as aws states", "allows  ship", "tag     cost=7", "source  aws at then, ledger 5",
        "history 2026-11-22T12:00:00.000Z found (aws, ledger 7): owner pay, status ACTIVE, path Root",
    ]  # fmt: skip
    assert json.loads(ask(url, "accounts", "show", "123456789012", "--json").stdout)["history"] == [change]
    held.said["/v1/accounts/999999999999"] = problem(404, "account-unknown")
    assert ask(url, "accounts", "show", "999999999999").exit_code == 4


def test_the_exit_code_of_accounts_is_that_of_all_of_them_and_not_of_those_shown(answers: tuple[Answers, str]) -> None:
    held, url = answers
    held.row, held.total = {"account_id": "123456789012", "owner": "pay", "regions": [REGION]}, 3
    assert ask(url, "accounts", "--limit", "1").exit_code == 0
    held.last = {"account_id": "123456789013", "regions": [{**REGION, "silent": 1}]}
    result = ask(url, "accounts", "--limit", "1")
    assert (result.exit_code, result.stdout.count("12345678901")) == (1, 1)


def test_a_person_is_shown_by_uid_with_every_team_that_a_source_had_them_in(answers: tuple[Answers, str]) -> None:
    held, url = answers
    member = {"team_id": "pay", "source": "file", "since": "2026-11-22T12:00:00.000Z", "since_index": 5}
    held.said["/v1/people/ada"] = 200, {
        "uid": "ada", "teams": ["pay"],
        "memberships": [
            {**member, "until": None, "until_index": None},
            {**member, "team_id": "old", "since_index": 3, "until": "2026-11-22T13:00:00.000Z", "until_index": 4},
        ],
    }  # fmt: skip
    assert ask(url, "people", "ada").stdout.splitlines() == [
        "uid    ada", "teams  pay", "member pay by file since 2026-11-22T12:00:00.000Z, ledger 5",
        "member old by file since 2026-11-22T12:00:00.000Z, ledger 3 until 2026-11-22T13:00:00.000Z, ledger 4",
    ]  # fmt: skip


def problem(status: int, code: str) -> tuple[int, object]:
    return status, {"code": code, "detail": f"it is {code}", "fix": "mend it"}


@pytest.mark.parametrize(
    "answer, code, said",
    [
        (problem(400, "parameter-malformed"), 2, "whence: it is parameter-malformed (mend it)\n"),
        (problem(401, "token-unknown"), 3, "token-unknown"),
        (problem(403, "team-forbidden"), 3, "team-forbidden"),
        (problem(404, "http-404"), 3, "the server has no path http://127.0.0.1:"),
        (problem(404, "instance-unknown"), 4, "instance-unknown"),
        (problem(503, "storage"), 3, "storage"),
        ((200, []), 3, "is this a whence-aggregator?"),
        ((200, {}), 3, "is this a whence-aggregator?"),
        ((200, {"instances": []}), 3, "is this a whence-aggregator?"),
        ((500, "<html>"), 3, "HTTP 500"),
    ],
)
def test_each_refusal_has_its_exit_code(
    answers: tuple[Answers, str], answer: tuple[int, object], code: int, said: str
) -> None:
    held, url = answers
    held.said["/v1/instances"] = answer
    for options in ([], ["--json"], ["--all"]):
        result = ask(url, "instances", *options)
        assert (result.exit_code, result.stdout) == (code, "")
        assert said in result.stderr


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_named_and_never_followed_with_the_token(answers: tuple[Answers, str], status: int) -> None:
    held, url = answers
    held.said["/v1/instances"] = status, f"{url}/v1/elsewhere?\x1b[2J"
    result = ask(url, "--token-file", "/dev/null", "instances")
    assert result.exit_code == 3
    assert f"whence: {url} redirects to {url}/v1/elsewhere?" in result.stderr
    assert "set WHENCE_URL" in result.stderr
    assert [path for path, _ in held.asked] == ["/v1/instances"]


def test_json_escapes_control_characters_from_outside(answers: tuple[Answers, str]) -> None:
    held, url = answers
    held.total, held.row = 1, {"instance_id": "\x9b31m\u202e\u2066", "application_id": "a\x7f"}
    result = ask(url, "instances", "--json")
    assert json.loads(result.stdout)["instances"][0]["instance_id"] == "\x9b31m\u202e\u2066"
    assert all(character.isprintable() or character == "\n" for character in result.stdout)


@pytest.mark.parametrize(
    "arguments, code",
    [
        (["--url", "nonsense", "instances"], 2),
        (["--url", "http://host:port", "instances"], 2),
        (["--url", "http://[", "instances"], 2),
        (["--url", "http://127.0.0.1:1", "instances"], 3),
        (["--url", "http://a..b", "instances"], 3),
        (["--token-file", "/nowhere", "instances"], 2),
        (["apps", "../v1/summary"], 4),
        (["apps", "No"], 4),
        (["nonsense"], 2),
        (["instances", "--nonsense"], 2),
        (["bundle", "--from", "yesterday", "--to", "2026-11-01", "--out", "/tmp/x"], 2),
        (["trace"], 2),
        (["diff", "x" * 10_000, "y"], 2),
        (["changes", "--application", "x" * 100_000], 2),
        (["--help"], 0),
    ],
)
def test_invalid_usage_exits_2_and_an_unreachable_aggregator_3(
    answers: tuple[Answers, str], arguments: list[str], code: int
) -> None:
    assert ask(answers[1], *arguments).exit_code == code


@pytest.mark.parametrize("document", [{}, [], {"links": [], "commits": {}}, None, "no"])
@pytest.mark.parametrize("arguments", [["why", "i-1"], ["diff", "a", "b"], ["trace", "i-0123456789abcdef0"]])
def test_a_document_that_lacks_a_member_is_told_from_an_answer(
    answers: tuple[Answers, str], arguments: list[str], document: object
) -> None:
    held, url = answers
    held.said["/v1/trace"] = held.said["/v1/diff"] = 200, document
    done = ask(url, *arguments)
    assert done.exit_code == 3
    assert "is this a whence-aggregator of this version?" in done.stderr


def test_every_filter_of_the_list_is_sent_to_the_aggregator(answers: tuple[Answers, str]) -> None:
    held, url = answers
    names = "application version team account region ami image user-data commit ticket since until at known-at"
    options = [part for name in names.split() for part in (f"--{name}", f"a value of {name}")]
    assert ask(url, "instances", "--cause", "stop", *options).exit_code == 0
    wanted = {name.replace("-", "_"): f"a value of {name}" for name in names.split()}
    assert held.asked == [("/v1/instances", {**wanted, "cause": "stop", "limit": "100"})]


KEYS = "application team account ami ticket review commit person layer user-data"


def test_every_key_of_a_trace_is_sent_and_not_found_exits_4_and_malformed_2(answers: tuple[Answers, str]) -> None:
    held, url = answers
    for key in KEYS.split():
        name = key.replace("-", "_")
        missed = ask(url, "trace", f"--{key}", "x 1", "--at", "2026-11-22T12:00:00Z")
        assert missed.exit_code == 4
        assert missed.stderr.startswith(f"whence: not found: no running instance of {name} 'x 1'; ")
        assert held.asked[-1] == ("/v1/trace", {name: "x 1", "at": "2026-11-22T12:00:00Z", "limit": "100"})
    held.said["/v1/trace"] = problem(400, "parameter-malformed")
    for key in KEYS.split():
        refused = ask(url, "trace", f"--{key}", "x 1")
        assert (refused.exit_code, "mend it" in refused.stderr) == (2, True)


@pytest.mark.parametrize("value", ["[bold]x[/bold]", "[/]", ":smile:", "[link=http://x]", "a\x1b[2Jb", "x" * 5_000])
def test_values_are_shown_as_they_are(answers: tuple[Answers, str], value: str) -> None:
    held, url = answers
    shown = value.replace("\x1b", "�")
    held.total, held.row = 1, {**LINEAGE, "instance_id": value, "subject": {"instance": value}}
    assert shown in ask(url, "instances").stdout
    assert shown in ask(url, "trace", "greeter").stdout
    held.said["/v1/applications/greeter"] = 200, {"id": "greeter", "description": value}
    held.said["/v1/applications/greeter/handover"] = 200, {"open": None, "handovers": []}
    assert shown in ask(url, "apps", "greeter").stdout


def test_rows_in_a_pipe_are_one_line_each_and_not_cut(answers: tuple[Answers, str]) -> None:
    held, url = answers
    reason = "a long reason, " * 40
    held.total, held.row = 3, {"verdict": "fail", "rule": "drift", "reason": reason, "since": "then"}
    lines = ask(url, "violations").stdout.splitlines()
    assert [line.count(reason.strip()) for line in lines] == [0, 1, 1, 1]
    assert [line.endswith("then") for line in lines] == [False, True, True, True]


def process(url: str, command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "WHENCE_URL": url, "WHENCE_TOKEN": "t"}
    script = ["bash", "-c", command.replace("whence", str(WHENCE), 1)]
    return subprocess.run(script, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    "command, code, said",
    [
        ("whence instances --all | head -1; exit ${PIPESTATUS[0]}", 141, ""),
        ("whence instances --all --json | head -1; exit ${PIPESTATUS[0]}", 141, ""),
        ("whence trace greeter --all | head -1; exit ${PIPESTATUS[0]}", 141, ""),
        ("whence instances > /dev/full", 70, "whence: the output cannot be written: No space left on device\n"),
        ("whence instances --all > /dev/full", 70, "whence: the output cannot be written: No space left on device\n"),
        ("PYTHONIOENCODING=ascii whence trace greeter --limit 1 > /dev/null", 0, "1 shown"),
    ],
)
def test_a_closed_output_does_not_exit_with_the_code_for_gaps(
    answers: tuple[Answers, str], command: str, code: int, said: str
) -> None:
    held, url = answers
    held.total, held.row = 2_000, {**LINEAGE, "instance_id": "i-✔" + "0" * 60}
    done = process(url, command)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert done.stderr.startswith(said) if said else done.stderr == ""


def test_ctrl_c_is_130(answers: tuple[Answers, str]) -> None:
    held, url = answers
    held.said["/v1/instances"] = 200, "hang"
    environment = {**os.environ, "WHENCE_URL": url, "WHENCE_TOKEN": "t"}
    with subprocess.Popen([WHENCE, "instances"], env=environment, stderr=subprocess.PIPE, text=True) as running:
        while not held.asked:
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)
    assert (running.returncode, said) == (130, "\nwhence: interrupted\n")
