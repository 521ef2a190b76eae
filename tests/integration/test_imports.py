"""`whence import`: what it writes, when it writes nothing, and how it ends when something goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from fakes.catalogs import GROUP, OTHERS, USERS, annotated, component
from fakes.kio import TOKEN, FakeKio, fake_kio
from whence_aggregator.organisation.file import parse_organisation
from whence_aggregator.whence.cli import whence
from whence_aggregator.whence.client import Client
from whence_aggregator.whence.importing.carrying_out import AppsOverHttp
from whence_aggregator.whence.importing.pace import Pace

_SECRET = "hunter2-must-not-be-shown"


@pytest.fixture
def registry() -> Iterator[FakeKio]:
    """The aggregator that is written to: these are Kio's paths of it."""
    with fake_kio() as kio:
        yield kio


@pytest.fixture
def source() -> Iterator[FakeKio]:
    with fake_kio() as kio:
        yield kio


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    directory = tmp_path / "catalog"
    for name, text in {
        "teams": f"{GROUP}---\n{USERS}", "greeter": component(), "till": component("till"), "others": OTHERS,
    }.items():  # fmt: skip
        (directory / name).mkdir(parents=True)
        (directory / name / "catalog-info.yaml").write_text(text, encoding="utf-8")
    return directory


def run(registry: FakeKio, *arguments: str | Path, standard_input: str | None = None, **environment: str) -> Result:
    variables = {"WHENCE_TOKEN": TOKEN, "WHENCE_URL": registry.url, "WHENCE_KIO_TOKEN": TOKEN, **environment}
    return CliRunner(env=variables).invoke(whence, ["import", *map(str, arguments)], input=standard_input)


def report(registry: FakeKio, *arguments: str | Path, code: int = 0) -> dict[str, Any]:
    result = run(registry, *arguments, "--json")
    assert result.exit_code == code, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_a_dry_run_shows_every_field_and_writes_nothing(registry: FakeKio, catalog: Path, tmp_path: Path) -> None:
    registry.put("till", name="Old", description="kept", incident_contact="hello@example.org")
    teams = tmp_path / "teams.yaml"
    result = run(registry, "backstage", catalog, "--dry-run", "--teams", teams, "--state", tmp_path / "state")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:2] == [
        "create      greeter                         team_id='hello', name='greeter', "
        "incident_contact='hello@example.org', active=True",
        "change      till                            name: 'Old' -> 'till'",
    ]
    assert "dry run, nothing was written: 1 created, 1 changed, 0 unchanged, 0 not mapped or refused" in result.stderr
    assert (registry.puts(), teams.exists(), (tmp_path / "state").exists()) == ([], False, False)


def test_a_second_run_writes_nothing(registry: FakeKio, catalog: Path) -> None:
    first = report(registry, "backstage", catalog)
    assert [(one["id"], one["action"], one["result"]) for one in first["applications"]] == [
        ("greeter", "create", "written"), ("till", "create", "written"),
    ]  # fmt: skip
    assert first["skipped"] == {"API": 1, "System": 1, "Template of scaffolder.backstage.io/v1beta3": 1}
    assert registry.puts() == ["/apps/greeter", "/apps/till"]
    second = report(registry, "backstage", catalog)
    assert {one["result"] for one in second["applications"]} == {"unchanged"}
    assert len(registry.puts()) == 2


def test_an_update_sends_what_changed_and_what_kio_requires(registry: FakeKio, catalog: Path) -> None:
    registry.put("till", active=False, support_url="https://help.example.org", incident_contact="x")
    run(registry, "backstage", catalog / "till", catalog / "teams")
    assert registry.bodies == [
        {"team_id": "hello", "name": "till", "active": False, "incident_contact": "hello@example.org"}
    ]


def test_the_team_of_an_existing_application_changes_only_on_request(registry: FakeKio, catalog: Path) -> None:
    registry.put("till", team_id="other", incident_contact="hello@example.org", description="x")
    result = run(registry, "backstage", catalog)
    assert (result.exit_code, registry.stored["till"]["team_id"]) == (1, "other")
    assert "the source states team hello, and the application belongs to other" in result.stdout
    assert run(registry, "backstage", catalog, "--hand-over").exit_code == 0
    assert registry.stored["till"]["team_id"] == "hello"


def test_a_bad_record_is_reported_with_its_place_and_the_rest_is_imported(registry: FakeKio, catalog: Path) -> None:
    wrong = component(metadata=annotated(f"pagerduty.com/integration-key: {_SECRET}", "b.example.org/x: true"))
    fine = component("fine", metadata=annotated(f"pagerduty.com/integration-key: {_SECRET}"))
    (catalog / "till" / "catalog-info.yaml").write_text(f"{fine}---\n{wrong}---\nkind: [\n")
    found = report(registry, "backstage", catalog, code=1)
    assert [(one["document"], one["line"], one["fix"]) for one in found["not_mapped"]] == [
        (2, 18, "quote it"), (3, 25, "check the indentation, and close every quote and bracket"),
    ]  # fmt: skip
    assert sorted(registry.stored) == ["fine", "greeter"]
    shown = run(registry, "backstage", catalog)
    assert _SECRET not in json.dumps(found) + shown.output + json.dumps(registry.bodies)
    assert "till/catalog-info.yaml document 2 line 18: greeter: metadata.annotations.b.example.org/x" in shown.stdout


def test_a_refused_application_does_not_stop_the_rest(registry: FakeKio, catalog: Path) -> None:
    registry.said["PUT", "/apps/greeter"] = [(403, {"code": "team-forbidden", "detail": "not your team", "fix": "ask"})]
    found = report(registry, "backstage", catalog, code=1)
    assert [(one["application_id"], one["code"], one["reason"]) for one in found["not_mapped"]] == [
        ("greeter", "refused-team-forbidden", "the aggregator refuses it: not your team")
    ]
    assert [(one["id"], one["result"]) for one in found["applications"]] == [
        ("greeter", "refused"),
        ("till", "written"),
    ]


def test_a_refused_token_ends_the_run(registry: FakeKio, catalog: Path) -> None:
    assert run(registry, "backstage", catalog, WHENCE_TOKEN="other").exit_code == 3
    registry.said["PUT", "/apps/greeter"] = [(401, {"code": "token-unknown", "detail": "expired"})]
    result = run(registry, "backstage", catalog)
    assert (result.exit_code, registry.puts()) == (3, ["/apps/greeter"])
    assert "2 not reached" in result.stderr


def test_an_aggregator_that_limits_writes_is_asked_again_after_the_time_that_it_states(registry: FakeKio) -> None:
    registry.said["PUT", "/apps/greeter"] = [(429, {"code": "rate-limited", "detail": "too many bytes"})] * 6
    slept: list[float] = []
    pace = Pace(seconds=lambda: 0.0, sleep=slept.append, per_second_max=1e9)
    apps = AppsOverHttp(Client(url=registry.url, token=TOKEN), pace=pace)
    apps.write("greeter", {"name": "Greeter", "team_id": "hello", "active": True})
    assert [seconds for seconds in slept if seconds > 1e-6] == [3.0] * 6
    assert registry.stored["greeter"]["name"] == "Greeter"


def test_a_lost_connection_ends_the_run_and_the_next_one_continues(registry: FakeKio, catalog: Path) -> None:
    registry.said["PUT", "/apps/till"] = [(0, None)]
    found = report(registry, "backstage", catalog, code=3)
    assert [(one["id"], one["result"]) for one in found["applications"]] == [
        ("greeter", "written"), ("till", "not-reached"),
    ]  # fmt: skip
    report(registry, "backstage", catalog)
    assert registry.puts() == ["/apps/greeter", "/apps/till", "/apps/till"]


def test_teams_are_written_to_a_file_for_review_and_never_to_the_aggregator(
    registry: FakeKio, catalog: Path, tmp_path: Path
) -> None:
    teams = tmp_path / "teams.yaml"
    assert report(registry, "backstage", catalog, "--teams", teams)["teams_file"] == "written"
    assert yaml.safe_load(teams.read_text()) == {
        "teams": [{"id": "hello", "name": "Team Hello", "members": ["Bo.Berg", "ada.lind"]}]
    }
    (team,) = parse_organisation(teams.read_bytes(), name="teams.yaml").teams
    assert (team.team_id, team.members) == ("hello", ("Bo.Berg", "ada.lind"))
    assert report(registry, "backstage", catalog, "--teams", teams)["teams_file"] == "unchanged"
    teams.write_text("teams: []\naccounts: []\n")
    result = run(registry, "backstage", catalog, "--teams", teams)
    assert (result.exit_code, "was not written by this command" in result.stderr) == (2, True)
    assert teams.read_text() == "teams: []\naccounts: []\n"


def test_what_vanished_is_deactivated_after_confirmation_if_the_import_created_it(
    registry: FakeKio, catalog: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    registry.put("theirs")
    call = ("backstage", catalog, "--state", state)
    assert run(registry, *call).exit_code == 0
    assert state.stat().st_mode & 0o777 == 0o600
    (catalog / "till" / "catalog-info.yaml").unlink()
    assert run(registry, *call).exit_code == 0
    assert registry.stored["till"]["active"] is True
    for answer in ("n\n", ""):
        result = run(registry, *call, "--deactivate-missing", standard_input=answer)
        assert (result.exit_code, "Deactivate 1 applications" in result.stderr) == (1, True)
        assert "nothing is deactivated: it was not confirmed" in result.stdout
    result = run(registry, *call, "--deactivate-missing", standard_input="y\n")
    assert (result.exit_code, "deactivate  till" in result.stdout) == (0, True)
    assert {name: one["active"] for name, one in registry.stored.items()} == {
        "greeter": True, "till": False, "theirs": True,
    }  # fmt: skip
    count = len(registry.puts())
    assert run(registry, *call, "--deactivate-missing", "--yes").exit_code == 0
    assert len(registry.puts()) == count
    (catalog / "till" / "catalog-info.yaml").write_text(component("till"))
    assert run(registry, *call).exit_code == 0
    assert registry.stored["till"]["active"] is True


@pytest.mark.parametrize(
    "text", ["kind: [\n", component("TILL", owner="user:x"), component("till", metadata="  title: 1\n")]
)
def test_a_component_in_error_has_not_vanished(registry: FakeKio, catalog: Path, tmp_path: Path, text: str) -> None:
    call = ("backstage", catalog, "--state", tmp_path / "state", "--deactivate-missing", "--yes")
    assert run(registry, *call).exit_code == 0
    (catalog / "till" / "catalog-info.yaml").write_text(text)
    assert run(registry, *call).exit_code == 1
    assert registry.stored["till"]["active"] is True


def test_an_empty_source_or_one_in_part_deactivates_nothing(registry: FakeKio, catalog: Path, tmp_path: Path) -> None:
    call = ("backstage", catalog, "--state", tmp_path / "state", "--deactivate-missing", "--yes")
    run(registry, *call)
    for name in ("till", "greeter"):
        (catalog / name / "catalog-info.yaml").unlink()
    result = run(registry, *call)
    assert (result.exit_code, "nothing is deactivated: the source has no application" in result.stdout) == (1, True)
    result = run(registry, "backstage", catalog / "greeter", *call[2:])
    assert (result.exit_code, "belongs to backstage:" in result.stderr) == (2, True)


def test_a_directory_without_a_catalog_file_is_reported(registry: FakeKio, tmp_path: Path) -> None:
    result = run(registry, "backstage", tmp_path)
    assert result.exit_code == 1
    assert f"{tmp_path}: there is no catalog file (correct the path, or pass --file-name)" in result.stdout


def test_a_path_and_a_file_below_it_are_read_once(registry: FakeKio, catalog: Path) -> None:
    assert run(registry, "backstage", catalog, catalog / "till" / "catalog-info.yaml", catalog).exit_code == 0
    assert sorted(registry.stored) == ["greeter", "till"]


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["backstage"], "pass a directory or file, or --repository URL"),
        (["backstage", ".", "--deactivate-missing"], "--deactivate-missing needs --state FILE"),
        (["backstage", "/nowhere"], "/nowhere cannot be read"),
        (["backstage", ".", "--namespace", "A/B"], "'A/B' is not a namespace"),
        (["backstage", "--repository", "https://git.example.org/a"], "is not below a prefix on the allow-list"),
        (["backstage", "--repository", "https://git.example.org/shopping", "--allow", "https://git.example.org/shop"],
         "is not below a prefix on the allow-list"),
        (["backstage", "--repository", "https://git.example.org.evil.example/shop/a", "--allow",
          "https://git.example.org/shop"], "is not below a prefix on the allow-list"),
        (["backstage", "--repository", "https://git.example.org/shop/../x", "--allow", "https://git.example.org/shop"],
         "has characters or segments that are not accepted"),
        (["backstage", "--repository", "https://git.example.org/shop/%2e%2e/x", "--allow",
          "https://git.example.org/shop"], "has characters or segments that are not accepted"),
        (["backstage", "--repository", f"https://u:{_SECRET}@git.example.org/a", "--allow", "https://git.example.org"],
         "a URL of git.example.org has a login in it"),
        (["backstage", "--repository", "file:///etc", "--allow", "file:///"], "is not an https or ssh URL"),
        (["backstage", "--repository", "ext::sh -c id", "--allow", "https://x.example.org"], "is not an https or ssh URL"),
        (["backstage", "--repository", "ssh://-oProxyCommand=id/x", "--allow", "ssh://-oProxyCommand=id/"],
         "is not an https or ssh URL"),
        (["backstage", "--repository", "git@git.example.org:a/b", "--allow", "ssh://git@git.example.org/a"],
         "is not an https or ssh URL"),
        (["backstage", ".", "--repository", "https://git.example.org/a", "--allow", "https://git.example.org",
          "--git-login", "nonsense"], "is not HOST=FILE"),
        (["file", "/nowhere"], "/nowhere cannot be read"),
        (["kio", "nonsense"], "is not an http or https URL"),
        (["kio", "http://127.0.0.1:1", "--kio-token-file", "/nowhere"], "/nowhere cannot be read as a token"),
    ],
)  # fmt: skip
def test_invalid_usage_ends_before_anything_is_asked(registry: FakeKio, arguments: list[str], said: str) -> None:
    result = run(registry, *arguments)
    assert (result.exit_code, registry.asked) == (2, [])
    assert said in result.output
    assert _SECRET not in result.output


def test_a_kio_is_imported_field_by_field_and_asked_for_what_its_list_leaves_out(
    registry: FakeKio, source: FakeKio
) -> None:
    source.put("greeter", name="Greeter", description="It greets.", criticality_level=1, active=False)
    source.put("till", publicly_accessible=True)
    source.listed_fields = ("id", "team_id", "name", "active")
    assert run(registry, "kio", source.url).exit_code == 0
    assert registry.stored == source.stored
    assert source.asked == [("GET", "/apps"), ("GET", "/apps/greeter"), ("GET", "/apps/till")]
    source.listed_fields = None
    assert run(registry, "kio", source.url).exit_code == 0
    assert (len(registry.puts()), len(source.asked)) == (2, 4)


def test_an_empty_kio_says_null_and_is_no_error(registry: FakeKio, source: FakeKio) -> None:
    assert report(registry, "kio", source.url)["applications"] == []


def test_a_field_that_the_source_does_not_state_is_left_as_it_is(registry: FakeKio, source: FakeKio) -> None:
    source.put("greeter", name="New")
    registry.put("greeter", name="Old", description="ours")
    assert run(registry, "kio", source.url).exit_code == 0
    assert (registry.stored["greeter"]["name"], registry.stored["greeter"]["description"]) == ("New", "ours")


@pytest.mark.parametrize(
    "answer, said",
    [
        ((401, {"message": "Unauthorized"}), "/apps: HTTP 401 (set WHENCE_KIO_TOKEN or --kio-token-file)"),
        ((403, {"message": "Forbidden"}), "/apps: HTTP 403 (set WHENCE_KIO_TOKEN or --kio-token-file)"),
        ((200, {"apps": []}), "/apps is not a list: is this a Kio?"),
        ((200, b"<html>"), "/apps is not JSON: is this a Kio?"),
        ((200, b"[" * 200_000), "/apps is not JSON: is this a Kio?"),
        ((404, b"<html>"), "does not respond as a Kio"),
    ],
)
def test_a_kio_that_refuses_the_list_ends_the_run(
    registry: FakeKio, source: FakeKio, answer: tuple[int, object], said: str
) -> None:
    source.said["GET", "/apps"] = [answer] * 4
    result = run(registry, "kio", source.url)
    assert (result.exit_code, registry.asked) == (3, [])
    assert said in result.stderr


def test_hostile_records_of_a_kio_are_refused_one_by_one(registry: FakeKio, source: FakeKio) -> None:
    rows: list[object] = [
        {"id": "../etc", "team_id": "t", "name": "x"}, {"id": "ab\x1b[2J", "team_id": "t", "name": "x"}, 7, None,
        {"id": "twice", "team_id": "t", "name": "x", "active": True}, {"id": "gone", "team_id": "t", "name": "x"},
    ]  # fmt: skip
    source.put("twice")
    source.put("fine")
    source.said["GET", "/apps"] = [(200, [*rows, {"id": "twice"}, {"id": "fine"}])]
    source.said["GET", "/apps/fine"] = [(200, {"id": "other", "team_id": "t", "name": "x"})]
    found = report(registry, "kio", source.url, code=1)
    assert registry.puts() == []
    assert [one["code"] for one in found["not_mapped"]] == [
        "import-id", "import-id", "import-record", "import-record", "import-kio-refused", "import-record",
        "import-duplicate", "import-duplicate",
    ]  # fmt: skip
    assert "\x1b" not in run(registry, "kio", source.url).output


def test_a_list_comes_from_a_file_or_stdin(registry: FakeKio, tmp_path: Path) -> None:
    row = {"id": "greeter", "team_id": "hello", "name": "Greeter", "criticality_level": None, "last_modified_time": 1.5}
    (tmp_path / "apps.json").write_text(json.dumps([row]))
    assert run(registry, "file", tmp_path / "apps.json").exit_code == 0
    assert registry.stored["greeter"]["active"] is True
    listed = "- id: greeter\n  team_id: hello\n  name: Greeter\n  active: false\n- id: Till\n"
    result = run(registry, "file", "-", standard_input=listed)
    assert (result.exit_code, registry.stored["greeter"]["active"]) == (1, False)
    assert "stdin document 1 line 5: 'Till' is not an application id" in result.stdout
