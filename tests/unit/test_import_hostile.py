"""Hostile and broken sources: bounded, refused by name with their place, and never hiding the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fakes.catalogs import GROUP, annotated, component, read_catalog
from whence_aggregator.whence.importing.catalog_files import read_entities
from whence_aggregator.whence.importing.directories import DirectoryTree
from whence_aggregator.whence.importing.list_file import read_list
from whence_aggregator.whence.importing.values import SourceReading
from whence_aggregator.whence.importing.yaml_documents import DOCUMENTS_MAX, FILE_BYTES_MAX
from whence_common.errors import InputError

_LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [*{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
_SECRET = "hunter2-must-not-be-shown"


@pytest.mark.parametrize(
    "text, line, said",
    [
        (_LAUGHS, 3, "more than 5000 values with aliases expanded"),
        ("a: &a [*a]\n", 1, "an alias is inside its own anchor"),
        ("a: *nowhere\n", 1, "the anchor of the alias *nowhere does not exist"),
        ("[" * 40 + "]" * 40, 1, "nested deeper than 20 levels"),
        ("kind: !!python/object/apply:os.system ['id']\n", 1, "the tag 'tag:yaml.org,2002:python/object/apply:os.system' is not supported"),
        ("metadata: !include {a: b}\n", 1, "the tag '!include' is not supported"),
        ("kind: !include secrets.yaml\n", 1, "the tag '!include' is not supported"),
        ("kind: Component\nkind: Group\n", 2, "duplicate key 'kind'; the first is on line 1"),
        ("metadata:\n\tname: x\n", 2, "the indentation has a tab"),
        ("a: 'open\n", 2, "invalid YAML"),
        ("a: \x07\n", 1, "there is a control character"),
        ("? [a]\n: b\n", 1, "a list or mapping is used as a key"),
        ("<<: [1]\n", 1, "<< merges mappings only"),
        ("- just\n- a list\n", 1, "the document is not an entity"),
        ("just text\n", 1, "the document is not an entity"),
        ("kind: Component\n", 1, "apiVersion: is required, but not stated"),
        ("apiVersion: backstage.io/v1alpha1\n", 1, "kind: is required, but not stated"),
        (component().replace("v1alpha1", "v2"), 1, "'backstage.io/v2' is not a known version"),
        (component() + "relations: []\n", 9, "'relations' is not a key of an entity"),
        (component() + "status: {}\n", 9, "'status' is not a key of an entity"),
        ("apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: x\nspec: {}\n", 3, "metadata: is not a mapping"),
        (component("no"), 4, "metadata.name: is not text: YAML reads it as a boolean, number or date"),
        (component("1.10"), 4, "metadata.name: is not text"),
        (component("'a b'"), 4, "metadata.name: 'a b' is not an entity's name"),
        (component("../../etc/passwd"), 4, "metadata.name: '../../etc/passwd' is not an entity's name"),
        (component("'" + "x" * 64 + "'"), 4, "is not an entity's name"),
        (component("grеeter"), 4, "is not an entity's name"),
        (component(metadata="  namespace: Shop\n"), 5, "metadata.namespace: 'Shop' is not a namespace"),
        (component(metadata="  title: [a]\n"), 5, "metadata.title: is not text"),
        (component(metadata="  description:\n    $text: file:///etc/passwd\n"), 5, "the placeholder $text is not resolved"),
        (component(metadata="  description:\n    $json: https://x.example.org/\n"), 5, "the placeholder $json"),
        (component(metadata=annotated("a.example.org/on: true")), 6, "metadata.annotations.a.example.org/on: is not text"),
        (component(metadata=annotated("a.example.org/n: 12")), 6, "metadata.annotations.a.example.org/n: is not text"),
        (component(metadata="  labels:\n    tier: 1\n"), 6, "metadata.labels.tier: is not text"),
        (component(metadata="  links:\n    - title: x\n"), 6, "a link is not a mapping with url"),
        (component(metadata="  links: [https://x.example.org]\n"), 5, "a link is not a mapping with url"),
        (component().replace("  owner: hello\n", ""), 5, "spec.owner: is required, but not stated"),
        (component(owner="[hello]"), 8, "spec.owner: is not text"),
        (component().replace("  lifecycle: production\n", ""), 5, "spec.lifecycle: is required, but not stated"),
        (
            component(metadata=annotated(f"backstage.io/source-location: url:https://x:{_SECRET}@git.example.org/a/b")),
            5, "scm_url has a password or token in the URL",
        ),
        (
            component(metadata=f"  links:\n    - url: https://{_SECRET}@git.example.org/\n      title: docs\n"),
            5, "documentation_url has a password or token in the URL",
        ),
    ],
)  # fmt: skip
def test_a_broken_document_is_refused_at_its_line_and_the_documents_around_it_are_read(
    text: str, line: int, said: str
) -> None:
    before, after = component("before"), component("after")
    reading = read_catalog(GROUP, f"{before}---\n{text}\n---\n{after}")
    assert [one.application_id for one in reading.applications] == ["before", "after"]
    wrong = reading.unmapped[0]
    offset = before.count("\n") + 1
    assert said in wrong.reason
    assert (wrong.origin.file, wrong.origin.document, wrong.origin.line - offset) == ("catalog-2.yaml", 2, line)
    assert wrong.fix
    assert _SECRET not in repr(reading)


def test_every_problem_of_an_entity_is_reported_and_not_the_first() -> None:
    metadata = "  namespace: Shop\n" + annotated("a: 1", "b: true")
    reading = read_catalog(component("a_b", owner="''", metadata=metadata))
    assert [one.origin.line for one in reading.unmapped] == [5, 12, 7, 8]


def test_a_key_that_raises_alerts_is_neither_kept_nor_shown() -> None:
    metadata = annotated(f"pagerduty.com/integration-key: {_SECRET}", "pagerduty.com/service-id: P1")
    reading = read_catalog(component(metadata=metadata), GROUP)
    assert reading.left_out["annotation pagerduty.com/integration-key"] == 1
    assert len(reading.applications) == 1
    assert _SECRET not in repr(reading)


def test_documents_are_split_where_yaml_splits_them() -> None:
    text = f"%YAML 1.1\n---\n# first\n{component('one')}...\n# between\n---\n---\n{component('two')}--- # three\r\n"
    reading = read_catalog(GROUP, f"\ufeff{text}{component('three')}---\n\n# nothing\n")
    assert [one.application_id for one in reading.applications] == ["one", "two", "three"]
    assert [one.reason for one in reading.unmapped] == []


def test_a_dash_line_within_a_text_is_not_hidden_but_ends_the_document() -> None:
    text = component(metadata="  description: |\n    a\n---\n    b\n")
    reading = read_catalog(GROUP, text, component("other"))
    assert [one.application_id for one in reading.applications] == ["other"]
    assert all(one.unread or one.application_id for one in reading.unmapped)


def test_the_number_of_documents_and_the_bytes_of_a_file_are_bounded() -> None:
    reading = read_catalog("---\na: 1\n" * (DOCUMENTS_MAX + 1))
    assert reading.unmapped[-1].reason == "the file has more than 1000 documents; the rest was not read"
    reading = read_catalog("# " + "x" * FILE_BYTES_MAX)
    assert [one.reason for one in reading.unmapped] == ["the file is larger than 1048576 bytes"]


def read(directory: Path, *, file_names: tuple[str, ...] = ("catalog-info.yaml",)) -> tuple[list[str], SourceReading]:
    """Return the names of all entities below a directory, and the reading."""
    reading = SourceReading(source="test")
    entities = read_entities([DirectoryTree(directory, file_names=file_names)], reading, progress=lambda _: None)
    return [one.name for one in entities], reading


def location(*targets: str, more: str = "") -> str:
    listed = "".join(f"    - {target}\n" for target in targets)
    return (
        f"apiVersion: backstage.io/v1alpha1\nkind: Location\nmetadata:\n  name: all\nspec:\n{more}  targets:\n{listed}"
    )


def test_every_catalog_file_of_a_monorepo_is_read_once(tmp_path: Path) -> None:
    for name in ("one", "two/deep", "node_modules/theirs", ".git/x"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "catalog-info.yaml").write_text(component(Path(name).name), encoding="utf-8")
    (tmp_path / "catalog-info.yaml").write_text(location("./one/catalog-info.yaml", "two/../one/catalog-info.yaml"))
    names, reading = read(tmp_path)
    assert (names, reading.unmapped) == (["one", "deep"], [])


def test_locations_may_lead_in_circles_and_each_file_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "catalog-info.yaml").write_text(location("./a.yaml", "./catalog-info.yaml"))
    (tmp_path / "a.yaml").write_text(f"{location('./b.yaml')}---\n{component('a')}")
    (tmp_path / "b.yaml").write_text(f"{location('./a.yaml', './catalog-info.yaml')}---\n{component('b')}")
    names, reading = read(tmp_path)
    assert (names, reading.unmapped) == (["a", "b"], [])


@pytest.mark.parametrize(
    "target, said",
    [
        ("../outside.yaml", "the target '../outside.yaml' leads out of the directory"),
        ("inner/../../outside.yaml", "leads out of the directory"),
        ("/etc/passwd", "the target '/etc/passwd' leads out of the directory"),
        ("https://git.example.org/a/b/catalog-info.yaml", "a target is in another place, and is not followed"),
        ("./missing.yaml", "missing.yaml: the file cannot be read: No such file or directory"),
        ("./link.yaml", "link.yaml: the file cannot be read"),
        ("./linked/outside.yaml", "the file cannot be read"),
        ("./pipe", "pipe: is not a regular file"),
        ("./*.yaml", "the target './*.yaml' is a pattern, which is not followed"),
        ("'..\\outside.yaml'", "leads out of the directory"),
        ("./inner", "inner: is not a regular file"),
    ],
)
def test_a_target_that_leads_elsewhere_is_not_followed_and_the_others_are(
    tmp_path: Path, target: str, said: str
) -> None:
    inside = tmp_path / "inside"
    (inside / "inner").mkdir(parents=True)
    (tmp_path / "outside.yaml").write_text(component("stolen"))
    (inside / "link.yaml").symlink_to(tmp_path / "outside.yaml")
    (inside / "linked").symlink_to(tmp_path)
    os.mkfifo(inside / "pipe")
    (inside / "fine.yaml").write_text(component("fine"))
    (inside / "catalog-info.yaml").write_text(location(target, "./fine.yaml"))
    names, reading = read(inside)
    assert names == ["fine"]
    wrong = next(one for one in reading.unmapped if said in one.reason)
    assert (Path(wrong.origin.file).name, wrong.origin.line, wrong.unread) in {
        ("catalog-info.yaml", 6, True), ("inner", 0, True),
    }  # fmt: skip


def test_links_below_a_directory_are_named_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "catalog-info.yaml").write_text(component("stolen"))
    (tmp_path / "inside" / "linked").symlink_to(tmp_path / "outside")
    (tmp_path / "inside" / "catalog-info.yaml").symlink_to(tmp_path / "outside" / "catalog-info.yaml")
    names, reading = read(tmp_path / "inside")
    assert names == []
    assert sorted(Path(one.origin.file).name for one in reading.unmapped) == ["catalog-info.yaml", "linked"]


def test_a_path_that_is_not_there_is_an_error_of_use(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        DirectoryTree(tmp_path / "nowhere", file_names=())


@pytest.mark.parametrize(
    "content, ids, said",
    [
        (b"", [], "the file has no list of applications"),
        (b"\n# nothing\n", [], "the file has no list of applications"),
        (b"[]", [], ""),
        (b"null", [], "the file has no list of applications"),
        (b"\xff\xfe", [], "the file is not UTF-8"),
        (b'[{"id": "ab", "name": "A", "team_id": "t"}', ["ab"], "invalid JSON"),
        (b'[{"id": "ab", "name": "A", "team_id": "t"}]x', ["ab"], ""),
        (b'[{"id": "ab", "id": "cd"}]', [], "duplicate key 'id'"),
        (b'[{"id": "ab", "name": "A", "team_id": "t"}, 7, null, "x"]', ["ab"], "the record is not an object"),
        (b'[{"id": "ab", "name": "A", "team_id": "t", "criticality_level": NaN}]', [], "a whole number from 1 to 4"),
        (b"[" * 100_000, [], ""),
        (b'[{"id": "a_b", "name": "A", "team_id": "t"}]', [], "'a_b' has '_' or '.'"),
        (b'[{"id": 7, "name": "A", "team_id": "t"}]', [], "has no id, or it is not text"),
        (b'[{"id": "ab", "name": "A"}]', [], "team_id is not stated"),
        (b'[{"id": "ab", "name": "A", "team_id": "t", "active": "true"}]', [], "active is not true or false"),
        (b'[{"id": "ab", "name": "A", "team_id": "t", "criticality_level": 5}]', [], "a whole number from 1 to 4"),
        (b'[{"id": "ab", "name": "A", "team_id": "t", "criticality_level": true}]', [], "a whole number from 1 to 4"),
        (b'[{"id": "ab", "name": "A", "team_id": "t", "scm_url": "https://u:p@x/y"}]', [], "a password or token"),
        (b'[{"id": "ab", "name": "A\\ud800", "team_id": "t"}]', [], "characters that cannot be stored"),
        (b'[{"id": "ab", "name": "A\\u0000", "team_id": "t"}]', [], "characters that cannot be stored"),
        (b'[{"id": "ab", "name": "A", "team_id": "t", "owner": "x"}]', [], "'owner' is not a field of an application"),
        (b"- {id: ab, name: 1.10, team_id: t}\n", [], "name is not text"),
        (b"- {id: ab, name: A, team_id: no}\n", [], "team_id is not text"),
        (b"- &a {id: ab, name: A, team_id: t}\n- *a\n", [], "application ab is stated more than once"),
        (b"--- !!python/object:os.system\nx: 1\n---\n- {id: ab, name: A, team_id: t}\n", ["ab"], ""),
        (b"id: ab\nname: A\nteam_id: t\n---\nid: cd\nname: C\nteam_id: t\n", ["ab", "cd"], ""),
    ],
)
def test_a_list_is_read_as_far_as_it_is_right(content: bytes, ids: list[str], said: str) -> None:
    reading = read_list(content, file="apps")
    assert [one.application_id for one in reading.applications] == ids
    assert said in " / ".join(one.reason for one in reading.unmapped)
    assert bool(reading.unmapped) == (content not in (b"[]",) and len(ids) != 2)
    assert "u:p" not in repr(reading)


def test_records_of_json_and_yaml_have_their_lines() -> None:
    text = b'[\n  {"id": "ab", "name": "A", "team_id": "t"},\n\n  {"id": "C_D"}\n]\n'
    assert {one.origin.line for one in read_list(text, file="apps").unmapped} == {4}
    text = b"- id: ab\n  name: A\n  team_id: t\n- id: cd\n  name: C\n  team_id: t\n  active: maybe\n"
    (wrong,) = read_list(text, file="apps").unmapped
    assert (wrong.origin.line, wrong.reason, wrong.fix) == (
        7, "active is not true or false", "write true or false, without quotes",
    )  # fmt: skip
