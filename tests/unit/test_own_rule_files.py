"""The YAML of users' rules is judged whole: each error has its file, its line and what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from whence_aggregator.adapters.own_rule_files import load_own_rules
from whence_common.settings_file import SettingsInvalid

RULE = """\
rules:
- id: own-signed-twice
  title: The image has two signatures
  kind: version
  severity: 2
  rationale: One key may be stolen.
  remedy: Sign the image with the second key.
  pass_when: image.signatures >= 2
  examples:
  - given: {image: {signatures: 2}}
    expect: pass
  - given: {image: {signatures: 1}}
    expect: fail
  - given: {image: {}}
    expect: unknown
"""


def written(directory: Path, content: str | bytes, name: str = "ours.yaml") -> Path:
    (directory / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return directory


def refused(directory: Path, content: str | bytes = "", name: str = "ours.yaml") -> str:
    with pytest.raises(SettingsInvalid) as wrong:
        load_own_rules(str(written(directory, content, name) if content else directory))
    return wrong.value.diagnostics()


def test_the_rules_of_a_directory_are_read_in_the_order_of_their_ids(tmp_path: Path) -> None:
    written(tmp_path, RULE.replace("own-signed-twice", "own-b"), "1.yaml")
    written(tmp_path, RULE.replace("own-signed-twice", "own-a"), "2.yml")
    written(tmp_path, "not read", "notes.txt")
    found = load_own_rules(str(tmp_path))
    assert [(one.id, one.version, one.condition) for one in found] == [
        ("own-a", 0, "(evidence_of_subject.image.signatures >= 2)"),
        ("own-b", 0, "(evidence_of_subject.image.signatures >= 2)"),
    ]
    assert found[0].digest != found[1].digest
    assert found[0].digest.startswith("sha256:")


def test_the_digest_of_a_rule_changes_with_every_part_of_its_source(tmp_path: Path) -> None:
    changes = [("version", "application"), ("2\n  rationale", "1\n  rationale"), ("stolen", "lost"), (">= 2", "> 1"),
               ("second", "third"), ("two signatures", "signatures")]  # fmt: skip
    digests = {load_own_rules(str(written(tmp_path, RULE)))[0].digest}
    for before, after in changes[1:]:
        digests.add(load_own_rules(str(written(tmp_path, RULE.replace(before, after))))[0].digest)
    assert len(digests) == 6


@pytest.mark.parametrize(
    ("before", "after", "line", "words"),
    [
        ("own-signed-twice", "signed-twice", 2, "rules[0].id: 'signed-twice' does not begin with own-"),
        ("own-signed-twice", "no-source", 2, "ids without own- are those of built-in rules, of later versions too"),
        ("own-signed-twice", "own-Signed", 2, "is not an id of a rule"),
        ("own-signed-twice", "own-sіgned", 2, "is not an id of a rule"),
        ("own-signed-twice", "own-" + "a" * 60, 2, "is not an id of a rule"),
        ("severity: 2", "severity: 0", 5, "rules[0].severity must be from 1, the worst, to 4"),
        ("kind: version", "kind: planet", 4, "rules[0].kind"),
        ("severity: 2", "severity: 2\n  colour: red", 6, "unknown setting"),
        ("signatures >= 2", "signatuers >= 2", 8, "line 1, column 7 of the condition: the ImageInRegistry does not have "
         "signatuers"),
        ("image.signatures >= 2", "|\n    true &&\n    oops", 8, "line 2, column 1 of the condition"),
        ("expect: fail", "expect: pass", 9, "no example expects fail"),
        ("{signatures: 1}", "{signaturs: 1}", 12, "the evidence about version does not have image.signaturs"),
        ("{signatures: 1}", "{signatures: many}", 12, "Expected `int | null`, got `str`"),
        ("One key may be stolen.", "''", 6, "rules[0].rationale must have 1 to 2000 characters"),
    ],
)  # fmt: skip
def test_each_error_has_its_line_and_what_to_do(tmp_path: Path, before: str, after: str, line: int, words: str) -> None:
    found = refused(tmp_path, RULE.replace(before, after))
    assert words in found
    assert re.search(rf"ours\.yaml:{line}:", found), found


def test_all_errors_of_all_files_are_reported_at_once(tmp_path: Path) -> None:
    written(tmp_path, RULE.replace("severity: 2", "severity: 9").replace(">= 2", ">= 'a'"), "1.yaml")
    found = refused(tmp_path, "rules: 7", "2.yaml")
    assert found.count("1.yaml:") == 2
    assert "2.yaml:1" in found


def test_an_unknown_member_hides_no_other_error(tmp_path: Path) -> None:
    content = RULE.replace("severity: 2", "severity: 9\n  colour: red").replace(">= 2", ">= 'a'")
    found = refused(tmp_path, content.replace("expect: pass", "expect: pass\n    note: x"))
    assert [int(one) for one in re.findall(r"ours\.yaml:(\d+):", found)] == [5, 6, 9, 13]
    assert found.count("unknown setting") == 2


def test_two_rules_whose_ids_look_alike_are_refused(tmp_path: Path) -> None:
    written(tmp_path, RULE.replace("own-signed-twice", "own-1ow"), "1.yaml")
    found = refused(tmp_path, RULE.replace("own-signed-twice", "own-low"), "2.yaml")
    assert "2.yaml:2:" in found
    assert "own-low is the same as own-1ow, or looks like it" in found


def test_a_directory_without_rules_is_an_error(tmp_path: Path) -> None:
    assert "there is no rule" in refused(tmp_path)
    assert "is not a directory" in refused(tmp_path / "missing")


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + number)}: &{chr(98 + number)} [{','.join(['*' + chr(97 + number)] * 9)}]\n" for number in range(12)
)


@pytest.mark.parametrize(
    "content",
    [
        BOMB, "rules: " + "[" * 100_000, "rules: " + "{a: " * 50_000, "rules: &a [*a]", "!!python/object:os.system {}",
        "rules: [" + "1," * 150_000 + "]", b"\xff\xfe\x00", "rules: null", "- rules", RULE + "---\n" + RULE,
        RULE + "x" * 300_000, RULE.replace("stolen", "a" * 100_000), RULE.replace("One key may be stolen.", '"\\0"'),
        RULE.replace("image.signatures >= 2", "'" + "(" * 3_000 + "'"),
    ],
    ids=["aliases", "lists", "mappings", "itself", "object", "items", "not text", "empty", "list", "two documents",
         "large", "long text", "control character", "parentheses"],
)  # fmt: skip
def test_hostile_yaml_is_refused_at_once(tmp_path: Path, content: str | bytes) -> None:
    assert refused(tmp_path, content)
