"""The table of stages is ordered, complete, and equal to the README's."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import msgspec
import pytest

import whence_agent.boot
from whence_agent.settings import Settings, parse_settings
from whence_agent.stage_table import STAGE_SECONDS_MAX, STAGES, StageRow, row_of
from whence_common.user_data.keys import KEYS

README = Path(__file__).parents[2] / "agent" / "README.md"
SETTINGS = parse_settings(b"aggregator_url: https://whence.example.org\n", name="agent.yaml")
each_row = pytest.mark.parametrize("row", STAGES, ids=lambda row: row.name)


def test_the_stages_have_the_documented_order() -> None:
    assert [row.name for row in STAGES] == [
        "identity", "user-data", "enrol", "credentials", "secrets", "image", "host", "storage", "pull", "run", "health",
        "load-balancer", "notify",
    ]  # fmt: skip


def test_acting_stages_follow_the_judgement_and_announcing_is_last() -> None:
    assert [row.phase for row in STAGES] == ["judge"] * 3 + ["act"] * 9 + ["announce"]


@each_row
def test_what_a_stage_needs_comes_before_it(row: StageRow) -> None:
    before = [other.name for other in takewhile(lambda other: other is not row, STAGES)]
    assert set(row.needs) <= set(before)


@each_row
def test_each_stage_has_a_deadline_from_numbers_settings_or_user_data(row: StageRow) -> None:
    assert row.usual_seconds or row.settings or row.user_data
    assert set(row.settings) <= set(Settings.__struct_fields__)
    assert not row.user_data or row.user_data in KEYS


@pytest.mark.parametrize(
    ("stage", "seconds"),
    [("identity", 120.0), ("enrol", 15.0), ("credentials", 305.0), ("storage", 2100.0), ("pull", 900.0), ("health", 0.0),
     ("load-balancer", 300.0), ("notify", 125.0)],
)  # fmt: skip
def test_a_deadline_is_the_sum_of_its_parts(stage: str, seconds: float) -> None:
    assert SETTINGS.deadline_seconds(row_of(stage)) == seconds


def test_settings_change_deadlines_by_the_tables_names() -> None:
    changed = msgspec.structs.replace(SETTINGS, stage_seconds_max={"prepare": 60.0}, volumes_seconds_max=1.0)
    assert changed.deadline_seconds(row_of("storage")) == 61.0
    assert list(STAGE_SECONDS_MAX) == [
        "identity", "user-data", "enrol", "secrets", "image", "host", "prepare", "pull", "run", "load-balancer",
        "notify",
    ]  # fmt: skip


def _readme() -> list[tuple[str, str]]:
    """Return each stage of the README's table, with its deadline there."""
    text = README.read_text(encoding="utf-8").partition("## A boot, stage by stage")[2]
    section = text.partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return [(columns[0].strip("`"), columns[2]) for columns in rows if len(columns) == 4]


def test_the_readme_has_the_stages_of_the_table_in_its_order() -> None:
    assert [name for name, _ in _readme()] == [row.name for row in STAGES]


@each_row
def test_the_readme_states_the_deadline_of_the_table(row: StageRow) -> None:
    stated = dict(_readme())[row.name]
    assert [float(number) for number in re.findall(r"(\d+) s\b", stated)] == list(row.usual_seconds.values())
    parts = {*row.settings, *({row.user_data} - {""}), *(set(row.usual_seconds) - {row.name})}
    assert set(re.findall(r"`([a-z_]+)`", stated)) == parts


OBSERVED_BY = {
    "Identified": "identity",
    "Judged": "user-data",
    "Resolved": "secrets",
    "ResolvedImages": "image",
    "Pulled": "pull",
    "RunningContainers": "run",
}


def _asked_for() -> Iterator[tuple[str, str]]:
    """Yield each stage's name with each observation that its source requests."""
    for path in sorted(Path(whence_agent.boot.__path__[0]).glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.ClassDef):
                continue
            for inner in ast.walk(node):
                match inner:
                    case ast.AnnAssign(target=ast.Name(id="name"), value=ast.Constant(value=str(name))):
                        stage = name
                    case ast.Call(func=ast.Attribute(value=ast.Name(id="so_far"), attr="of"), args=[ast.Name(id=kind)]):
                        if node.name.endswith("Stage"):
                            yield stage, kind


def test_each_stage_requests_only_what_its_row_needs() -> None:
    asked = set(_asked_for())
    assert {kind for _, kind in asked} <= set(OBSERVED_BY)
    assert len(asked) >= 15
    assert [(stage, kind) for stage, kind in asked if OBSERVED_BY[kind] not in row_of(stage).needs] == []
