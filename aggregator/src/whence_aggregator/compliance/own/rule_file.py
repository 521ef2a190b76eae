"""The YAML of rules that users write, checked whole: each error has its line and what to do. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from whence_aggregator.compliance.evidence import SubjectEvidence, SubjectOfRule
from whence_aggregator.compliance.own.checking import check
from whence_aggregator.compliance.own.documented import evidence_type, unknown_members
from whence_aggregator.compliance.own.expression import ExpressionWrong, depth_of, written
from whence_aggregator.compliance.own.syntax import parse
from whence_common import settings_file
from whence_common.errors import one_line
from whence_common.settings_file import Document, SettingsInvalid, Wrong

PREFIX = "own-"
"""What the ids of users' rules begin with, and those of built-in rules never do."""
FILE_BYTES_MAX = 256 * 1024
RULES_MAX = 200
"""Of all files together."""
EXAMPLES_MAX = 50
RULE_BYTES_MAX = 64 * 1024
ID_CHARACTERS_MAX = 60
TEXT_CHARACTERS_MAX = 2_000
WRITTEN_DEPTH_MAX = 60
"""The engine refuses more than about 90."""
_ID = re.compile(r"own(-[a-z0-9]+)+\Z")
_SAME = str.maketrans({"1": "l", "i": "l", "0": "o", "5": "s", "-": None})
_LEAST = "write `rules:` and a list of rules (README: Your own rules)"


class ExampleInFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Evidence, and the verdict that the rule must return for it."""

    given: dict[str, Any]
    expect: Literal["pass", "fail", "unknown"]


class RuleInFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule as it is written."""

    id: str
    title: str
    kind: SubjectOfRule
    severity: int
    rationale: str
    remedy: str
    pass_when: str
    """A condition in CEL."""
    reason: str = ""
    """The reason of a failed verdict; empty: that the condition is false."""
    audit_relevant: bool = False
    examples: list[ExampleInFile]


class RuleFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rules: list[RuleInFile]


def read_rules(content: bytes, *, name: str) -> Document[RuleFile]:
    """Read one file of rules. Raises SettingsInvalid with every error and its place."""
    if len(content) > FILE_BYTES_MAX:
        raise SettingsInvalid("own-rules-too-large", f"{name} is larger than {FILE_BYTES_MAX} bytes",
                              fix="split it into several files")  # fmt: skip
    return settings_file.read(content, RuleFile, name=name, least=_LEAST, judge=_what_is_wrong)


def wrong_together(files: Sequence[Document[RuleFile]]) -> list[str]:
    """Return what is wrong with several files together, each with its file and line."""
    found, wrong = dict[str, str](), list[str]()
    for document in files:
        for number, rule in enumerate(document.settings.rules):
            same = rule.id.translate(_SAME)
            if same in found:
                message = f"rules[{number}].id: {rule.id} is the same as {found[same]}, or looks like it"
                wrong.append(document.render([document.problem(message, fix="give each rule an id of its own")]))
            found[same] = rule.id
    if len(found) > RULES_MAX:
        wrong.append(f"there are {len(found)} rules, and at most {RULES_MAX} are read: remove some")
    if not found:
        wrong.append("there is no rule: with none, leave out own_rules_directory")
    return wrong


def condition_of(rule: RuleInFile) -> str:
    """Return the condition as the engine evaluates it. Raises ExpressionWrong."""
    return written(parse(rule.pass_when))


def evidence_of_example(rule: RuleInFile, example: ExampleInFile) -> SubjectEvidence:
    """Return the evidence of an example. Raises msgspec.ValidationError."""
    return msgspec.convert({**example.given, "kind": rule.kind}, SubjectEvidence)


def _what_is_wrong(found: RuleFile) -> Iterator[Wrong]:
    for number, rule in enumerate(found.rules):
        at = f"rules[{number}]"
        yield from _wrong_in_texts(at, rule)
        if not 1 <= rule.severity <= 4:
            yield Wrong(f"{at}.severity must be from 1, the worst, to 4", "write 1, 2, 3 or 4")
        if len(msgspec.json.encode(rule)) > RULE_BYTES_MAX:
            yield Wrong(f"{at} is larger than {RULE_BYTES_MAX} bytes", "shorten its texts and examples")
        yield from _wrong_in_condition(at, rule)
        yield from _wrong_in_examples(at, rule)


def _wrong_in_texts(at: str, rule: RuleInFile) -> Iterator[Wrong]:
    if not rule.id.startswith(PREFIX):
        yield Wrong(f"{at}.id: {one_line(rule.id, 60)!r} does not begin with {PREFIX}",
                    f"ids without {PREFIX} are those of built-in rules, of later versions too")  # fmt: skip
    elif not _ID.match(rule.id) or len(rule.id) > ID_CHARACTERS_MAX:
        yield Wrong(f"{at}.id: {one_line(rule.id, 60)!r} is not an id of a rule",
                    f"write {PREFIX}, then lower-case letters, digits and single hyphens; at most "
                    f"{ID_CHARACTERS_MAX} characters")  # fmt: skip
    for name in ("title", "rationale", "remedy"):
        text = getattr(rule, name)
        if not text.strip() or len(text) > TEXT_CHARACTERS_MAX:
            yield Wrong(f"{at}.{name} must have 1 to {TEXT_CHARACTERS_MAX} characters", "state it for the team")
    if len(rule.reason) > TEXT_CHARACTERS_MAX // 4:
        yield Wrong(f"{at}.reason has more than {TEXT_CHARACTERS_MAX // 4} characters", "shorten it")


def _wrong_in_condition(at: str, rule: RuleInFile) -> Iterator[Wrong]:
    try:
        tree = parse(rule.pass_when)
        check(tree, evidence_type(rule.kind))
        if depth_of(written(tree)) > WRITTEN_DEPTH_MAX:
            raise ExpressionWrong(0, "the condition is nested too deep", "split it into several rules")
    except ExpressionWrong as exc:
        before = rule.pass_when[: exc.at]
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        where = f"line {line}, column {column} of the condition"
        yield Wrong(f"{at}.pass_when: {where}: {one_line(exc.message, 300)}", one_line(exc.fix, 500))


def _wrong_in_examples(at: str, rule: RuleInFile) -> Iterator[Wrong]:
    expected = {one.expect for one in rule.examples}
    for outcome in ("pass", "fail"):
        if outcome not in expected:
            yield Wrong(f"{at}.examples: no example expects {outcome}", f"add one with `expect: {outcome}`")
    if len(rule.examples) > EXAMPLES_MAX:
        yield Wrong(f"{at}.examples: there are more than {EXAMPLES_MAX}", "remove some")
    for number, example in enumerate(rule.examples):
        yield from _wrong_in_example(f"{at}.examples[{number}].given", rule, example)


def _wrong_in_example(at: str, rule: RuleInFile, example: ExampleInFile) -> Iterator[Wrong]:
    given: Mapping[str, Any] = example.given
    if given.get("kind", rule.kind) != rule.kind:
        yield Wrong(f"{at}.kind is not {rule.kind}", "leave it out")
        return
    for one in list(unknown_members(given, evidence_type(rule.kind)))[:10]:
        yield Wrong(f"{at}: the evidence about {rule.kind} does not have {one_line(one, 100)}",
                    "see the table of the evidence in the README")  # fmt: skip
    try:
        evidence_of_example(rule, example)
    except msgspec.ValidationError as exc:
        yield Wrong(f"{at}: {one_line(str(exc), 300)}", "see the table of the evidence in the README")
