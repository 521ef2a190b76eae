"""whence-aggregator rules …: test, explain and list rules, those of your own too, without a database."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Awaitable, Callable, Sequence

from whence_aggregator.adapters.own_rule_files import load_own_rules
from whence_aggregator.adapters.rule_process import RuleProcess
from whence_aggregator.compliance.own.documented import ListType, MapType, Structure, ValueType, evidence_type
from whence_aggregator.compliance.own.examples import JudgedExample, judge_examples
from whence_aggregator.compliance.own.recorded import RecordedRules
from whence_aggregator.compliance.own.rules import OwnRule
from whence_aggregator.compliance.rule import Rule
from whence_aggregator.settings.server import Settings
from whence_aggregator.wiring.rules import own_rules, rules_in_force
from whence_common.errors import InputError
from whence_common.visible import printable


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser], *, settings_file: str) -> None:
    """Add `rules` with its actions."""
    rules = commands.add_parser("rules", help="test, explain and list rules, those of your own too")
    actions = rules.add_subparsers(dest="action", required=True, metavar="ACTION")
    about = "check rules of your own and their examples (exit 0 if all are right, 1 if an example is not, else 78)"
    test = actions.add_parser("test", help=about, description=about)
    test.add_argument("directory", nargs="?", help="instead of own_rules_directory of the settings")
    about = "show one rule, what it reads, and its examples (exit 1 if an example is wrong, or there is no such rule)"
    explain = actions.add_parser("explain", help=about, description=about)
    explain.add_argument("rule", help="the rule's id")
    about = "list all rules, and why some are not in force"
    list_ = actions.add_parser("list", help=about, description=about)
    list_.add_argument("--json", action="store_true", help="as GET /v1/rules returns them")
    for one in (test, explain, list_):
        one.add_argument("--config", default=settings_file, help="settings (default: %(default)s)")


async def run_rules(settings: Settings | None, arguments: argparse.Namespace) -> int:
    """Run one action of `rules`. `settings`: None for `test` with a directory. Raises InputError."""
    if arguments.action == "test":
        return await _test(settings, arguments.directory)
    assert settings is not None, "the other actions read the settings"
    actions: dict[str, Callable[[Settings, argparse.Namespace], Awaitable[int]]] = {"explain": _explain, "list": _list}
    return await actions[arguments.action](settings, arguments)


async def _test(settings: Settings | None, directory: str | None) -> int:
    own = load_own_rules(directory) if directory is not None else own_rules(settings) if settings is not None else ()
    if not own:
        raise InputError("own-rules-unset", "there are no rules to test: own_rules_directory is not set",
                         fix="set it, or name a directory")  # fmt: skip
    examples = await _judged(own)
    wrong = [one for one in examples if not one.right]
    for one in wrong:
        print(printable(str(one)))
    print(f"rules: {len(own)}, examples: {len(examples)}, wrong: {len(wrong)}")
    return 1 if wrong else 0


async def _judged(own: Sequence[OwnRule]) -> list[JudgedExample]:
    engine = RuleProcess()
    try:
        return await judge_examples(engine, own)
    finally:
        await engine.close()


async def _list(settings: Settings, arguments: argparse.Namespace) -> int:
    rules = rules_in_force(settings, RecordedRules(own=own_rules(settings)))
    if arguments.json:
        print(json.dumps({"rules": rules.to_wire()}, indent=1, ensure_ascii=False))
        return 0
    for one in rules.every:
        why = rules.not_in_force.get(one.id)
        state = f"not in force: {why}" if why else "in force"
        print(printable(f"{one.id} ({one.kind}, severity {one.severity}): {state}"))
    count = len(rules.every) - len(rules.rules)
    print(f"{len(rules.rules)} rules in force, {count} not", file=sys.stderr)
    return 0


async def _explain(settings: Settings, arguments: argparse.Namespace) -> int:
    own = own_rules(settings)
    rules = rules_in_force(settings, RecordedRules(own=own))
    rule = next((one for one in rules.every if one.id == arguments.rule), None)
    if rule is None:
        close = difflib.get_close_matches(arguments.rule, [one.id for one in rules.every], n=1)
        fix = f"did you mean {close[0]}?" if close else "whence-aggregator rules list shows all"
        raise InputError("rule-unknown", f"there is no rule {printable(arguments.rule[:60])}", fix=fix)
    for line in _about(rule, rules.not_in_force.get(rule.id)):
        print(printable(line))
    ours = next((one for one in own if one.id == rule.id), None)
    if ours is None:
        for number, example in enumerate(rule.examples, start=1):
            print(printable(f"example {number}: {example.outcome} with {json.dumps(dict(example.given))}"))
        return 0
    print(printable(f"condition: {ours.source.pass_when.strip()}"))
    print(f"digest: {ours.digest}")
    for name in ours.members:
        print(printable(f"reads {name}: {_shown(_type_of(name, evidence_type(rule.kind)))}"))
    examples = await _judged([ours])
    for one in examples:
        given = json.dumps(ours.source.examples[one.number - 1].given)
        right = "" if one.right else f" ({one.expected} was expected)"
        print(printable(f"example {one.number}: {one.found.outcome}{right} with {given}: {one.found.reason}"))
    return 0 if all(one.right for one in examples) else 1


def _about(rule: Rule, why: str | None) -> list[str]:
    return [
        f"{rule.id}: {rule.title}",
        f"about {rule.kind}, severity {rule.severity}{', audit' if rule.audit_relevant else ''}",
        f"not in force: {why}" if why else "in force",
        f"rationale: {rule.rationale}",
        f"remedy: {rule.remedy}",
    ]


def _type_of(path: str, type_: ValueType) -> ValueType:
    """Return the type of a member by its path, which was checked."""
    for name in path.split("."):
        if isinstance(type_, Structure):
            type_ = type_.members[name]
        elif isinstance(type_, MapType):
            type_ = type_.value
    return type_


def _shown(type_: ValueType) -> str:
    if isinstance(type_, ListType):
        return f"list of {_shown(type_.item)}"
    if isinstance(type_, MapType):
        return f"map of {_shown(type_.value)}"
    return f"structure ({', '.join(type_.members)})" if isinstance(type_, Structure) else type_
