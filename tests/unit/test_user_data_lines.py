"""User data as lines: masked values, quoting, and problems at the lines of their keys."""

from __future__ import annotations

from fakes.instance_answers import instance_answer, link_of
from whence_aggregator.console.user_data_lines import UserDataShown, user_data_shown


def _shown(document: object, *problems: object) -> UserDataShown:
    return user_data_shown(document, problems)


def _problem(path: str, line: int = 3, severity: str = "error") -> dict[str, object]:
    return {
        "severity": severity, "code": "c", "line": line, "column": 9, "path": path, "message": "wrong", "fix": "write",
    }  # fmt: skip


def test_problems_stand_at_the_lines_of_their_keys_with_their_numbers() -> None:
    value = link_of(instance_answer("five-mistakes"), "user_data")["value"]
    shown = user_data_shown(value["document"], value["problems"])
    assert [(line.number, line.text, [one.code for one in line.problems]) for line in shown.lines] == [
        (0, "application_id: greeter", []),
        (3, "application_version: 1.1", ["text-not-text"]),
        (0, "environment:", []),
        (8, "  RETRIES:", ["environment-not-scalar"]),
        (6, "ports:", ["mapping-expected"]),
        (0, "  - 8080", []),
        (4, "runtime: docker", ["runtime-unknown"]),
        (5, "source: registry.example.org/demo/greeter", ["image-tag-missing"]),
    ]
    assert (shown.errors, shown.warnings, shown.masked, shown.elsewhere) == (5, 0, 1, [])


def test_a_problem_of_an_absent_key_stands_at_the_nearest_one_above_or_elsewhere() -> None:
    shown = _shown({"environment": {"A": "b"}}, _problem("environment.B.C"), _problem("source"), _problem("", line=0))
    assert [len(line.problems) for line in shown.lines] == [1, 0]
    assert [one.line for one in shown.elsewhere] == [3, 0]


def test_a_warning_is_no_error() -> None:
    shown = _shown({"source": "a:1"}, _problem("source", severity="warning"))
    assert (shown.errors, shown.warnings, shown.lines[0].is_wrong) == (0, 1, False)


def test_values_are_written_as_yaml_reads_them() -> None:
    document = {
        "version": "1.10", "exact": "1.2.3", "flag": True, "text": "true", "count": 8080, "none": None, "empty": {},
        "list": ["a", {"b": 1}], "colon": "a: b", "lines": "a\nb", "quote": 'a"b', "MASK": "MASKED",
    }  # fmt: skip
    assert [line.text for line in _shown(document).lines] == [
        'version: "1.10"', "exact: 1.2.3", "flag: true", 'text: "true"', "count: 8080", "none:", "empty: {}", "list:",
        "  - a", "  -", "    b: 1", 'colon: "a: b"', 'lines: "a\\nb"', 'quote: "a\\"b"', "MASK:",
    ]  # fmt: skip


def test_documents_that_could_not_be_read_have_no_lines_and_long_ones_are_cut() -> None:
    assert list(_shown(None, _problem("")).lines) == []
    many = _shown({f"key{number}": "x" for number in range(600)})
    assert (len(many.lines), many.is_cut) == (500, True)
    assert _shown({"a": "b" * 10_000}).lines[0].text.endswith("… (10,003 characters)")


def test_problems_of_another_form_are_read_as_far_as_they_go() -> None:
    shown = _shown({"a": "b"}, "text", {"path": ["a"], "line": "x", "column": None}, {})
    assert [(one.line, one.message) for one in shown.elsewhere] == [(0, ""), (0, "")]
