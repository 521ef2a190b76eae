"""Conditions of users' rules: what is read, what is refused and where, and the text that the engine is given."""

from __future__ import annotations

import pytest

from whence_aggregator.compliance.evidence import SUBJECTS_OF_RULES, SubjectOfRule
from whence_aggregator.compliance.own.checking import check, members_read
from whence_aggregator.compliance.own.documented import evidence_type
from whence_aggregator.compliance.own.expression import ExpressionWrong, depth_of, written
from whence_aggregator.compliance.own.rule_file import WRITTEN_DEPTH_MAX
from whence_aggregator.compliance.own.syntax import parse


def text(condition: str, kind: SubjectOfRule = "instance") -> str:
    tree = parse(condition)
    check(tree, evidence_type(kind))
    return written(tree).replace("evidence_of_subject.", "")


def refused(condition: str, kind: SubjectOfRule = "instance") -> str:
    with pytest.raises(ExpressionWrong) as wrong:
        text(condition, kind)
    return f"{wrong.value.at}: {wrong.value.message} ({wrong.value.fix})"


@pytest.mark.parametrize(
    ("condition", "engine"),
    [
        ("image.signatures > 0", "(image.signatures > 0)"),
        ("life == 'running' && !source.dirty || commit.reachable",
         "(((life == \"running\") && (!source.dirty)) || commit.reachable)"),
        ("links.team.state in ['confirmed', \"asserted\"]", '(links.team.state in ["confirmed", "asserted"])'),
        ('links["team"].state == "confirmed"', '(links["team"].state == "confirmed")'),
        ("tickets.exists(one, one.approved)", "tickets.exists(one, one.approved)"),
        ("size(tickets.filter(t, t.id.startsWith('A-'))) == 1", '(size(tickets.filter(t, t.id.startsWith("A-"))) == 1)'),
        ("heard.skew_seconds * 2.0 < 1.5", "((heard.skew_seconds * 2.000000000000000) < 1.500000000000000)"),
        ("image.repository.matches(r'^team/[a-z]+$')", 'image.repository.matches("^team/[a-z]+$")'),
        ("application.active ? application.criticality_level > 1 : true // why",
         "(application.active ? (application.criticality_level > 1) : true)"),
        ("source.url == 'a\\'b\"c\\n'", '(source.url == "a\'b\\"c\\U0000000a")'),
        ("machine.problems[0].severity == 'error'", '(machine.problems[0].severity == "error")'),
    ],
)  # fmt: skip
def test_a_condition_is_given_to_the_engine_in_parentheses_with_the_members_of_one_variable(
    condition: str, engine: str
) -> None:
    assert text(condition) == engine


def test_the_variable_of_the_engine_is_named_before_each_member_and_not_before_the_variable_of_a_macro() -> None:
    assert written(parse("tickets.all(one, one.id != source.url)")) == (
        "evidence_of_subject.tickets.all(one, (one.id != evidence_of_subject.source.url))"
    )


def test_an_age_can_be_computed_from_now_where_time_alone_has_a_subject_judged_again() -> None:
    assert text("timestamp(now) - timestamp(ami.created_at) < duration('720h')", "ami") == (
        '((timestamp(now) - timestamp(ami.created_at)) < duration("720h"))'
    )
    assert text("timestamp(now) > timestamp(machine.launched_at)") == (
        "(timestamp(now) > timestamp(machine.launched_at))"
    )
    assert (
        refused("then > ''") == "0: the evidence about instance does not have then (its members are ami, ami_content, "
        "application, build, cloud, commit, heard, id, image, kind, life, life_since, links, machine, machine_image, "
        "now, reads, settings, source, tickets)"
    )


@pytest.mark.parametrize(
    "condition",
    [
        "has(source.dirty)", "!has(image.signatures) || true", "'source' in machine", "machine == machine",
        "links.all(one, true)", "size(links) == 0", "size(machine) > 0", "source == null", "links == links",
        "settings.builder_levels.exists(one, true)", "[machine] == [machine]", "image in [image]",
        "{'a': 1}.a == 1", "dyn(machine) == 1", "type(source) == 1",
    ],
)  # fmt: skip
def test_no_condition_can_observe_that_a_member_is_absent(condition: str) -> None:
    assert refused(condition)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("image.sigantures > 0", "6: the ImageInRegistry does not have sigantures (did you mean signatures?)"),
        ("imge.signatures > 0", "0: the evidence about instance does not have imge (did you mean image?)"),
        ("image.signatures", "a condition must be bool, but this is int"),
        ("image.signatures > '1'", "int > string is not possible"),
        ("image.signatures > 1.0", "int > double is not possible"),
        ("life && true", "what stands before && must be bool, but this is string"),
        ("tickets[0]", "a condition must be bool, but this is TicketOfCommit"),
        ("source.url.matches(source.path)", "the pattern of matches must be a text in quotes"),
        ("now() == 1", "there is no function now"),
        ("startWith(life, 'a')", "there is no function startWith (did you mean startsWith?)"),
        ("tickets.map(one, one.id) == 1", "there is no function map"),
        ("life = 'a'", "write == to compare"),
        ("life == 'a", "end the text with the same quote, on the same line"),
        ("life == 'a' &&", "14: a value was expected, but the end was found"),
        ("life == 'a' == true", "too many `==` follow each other"),
        ("life == '\\x41'", "the escape \\x is not supported"),
        ("life == 'a' extra", "an end was expected, but `extra` was found"),
        ("tickets.all(life, true)", "life is already the name of something else"),
        ("tickets.all(evidence_of_subject, true)", "is already the name of something else"),
        ("tickets.all(a, tickets.all(b, tickets.all(c, true)))", "more than 2 of all, exists, exists_one, filter are nested"),
        ("heard.silent_after_seconds == 9999999999999999999999", "not understood"),
        ("life == b'a'", "`b`"),
        ("ﬁle == 1", "not understood"),
        ("", "a value was expected, but the end was found"),
        ("[] == []", "an empty list is not supported"),
        ("true ? image : image", "a choice must be a single value"),
    ],
)  # fmt: skip
def test_a_wrong_condition_is_refused_with_its_place_and_what_to_do(condition: str, words: str) -> None:
    found = refused(condition)
    assert words in found or words.strip("`") in found


@pytest.mark.parametrize(
    "condition",
    ["(" * 5_000 + "true" + ")" * 5_000, "(" * 1_000 + "true" + ")" * 1_000, "!" * 900 + "true",
     "[" * 400 + "1" + "]" * 400 + " == 1", "life" + ".a" * 1_900, "life" + "[0]" * 300, "-" * 999 + "1 == 1",
     "true ? " * 150 + "true", "'" + "a" * 3_990 + "' == life", "life + " * 100 + "life == life", "x" * 10_000_000],
    ids=["parentheses", "fewer", "not", "lists", "members", "indexes", "minus", "choices", "text", "sums", "ten megabytes"],
)  # fmt: skip
def test_endless_conditions_are_refused_at_once(condition: str) -> None:
    assert refused(condition)


def test_a_condition_of_two_hundred_alternatives_is_not_nested_for_the_engine() -> None:
    engine = text(" || ".join(f"life == '{number}'" for number in range(200)))
    assert depth_of(engine) == 2
    assert depth_of('("(((")') == 1
    assert WRITTEN_DEPTH_MAX == 60


@pytest.mark.parametrize("kind", SUBJECTS_OF_RULES)
def test_each_kind_has_only_the_members_that_are_gathered_about_it(kind: SubjectOfRule) -> None:
    members = set(evidence_type(kind).members)
    assert {"kind", "id", "settings"} <= members
    assert ("machine" in members) == (kind in ("instance", "version"))
    assert ("account" in members) == (kind == "account")


def test_a_version_has_of_the_machine_only_whether_something_runs() -> None:
    assert text("machine.runs", "version") == "machine.runs"
    assert "the machine of a version does not have source" in refused("machine.source == ''", "version")


def test_the_members_that_a_condition_reads_are_named() -> None:
    found = members_read(parse("tickets.exists(one, one.approved) && links.team.state == life && image.signatures > 0"))
    assert found == ("image.signatures", "life", "links.team.state", "tickets")
