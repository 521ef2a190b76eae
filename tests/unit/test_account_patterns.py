"""PATTERN: shell patterns over names; a regular expression is refused with the shell forms that match the same."""

from __future__ import annotations

import re
import string
from fnmatch import fnmatchcase

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from whence_aggregator.accounts.configuration.patterns import select
from whence_aggregator.accounts.configuration.shell_forms import FORMS_MAX, shell_forms
from whence_common.errors import InputError

NAMES = ("hello", "hello-dev", "hello-test", "payment1", "payment2", "stups", "a.b")

_names = st.text(alphabet="ab1-.", min_size=1, max_size=4)
_parts = st.sampled_from(
    ["a", "b", "1", "-", r"\.", ".", ".*", ".+", ".?", "a?", "[ab]", "[^a]", r"\d", "(a|b)", "(?:ab|1)", "(a|b)?", "a{2}",
     ".{1,2}", "|", "^", "$", "a*", "[a-b]+", "(", "{", "\\"]
)  # fmt: skip


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        ((), NAMES),
        (("*",), NAMES),
        (("hello*",), ("hello", "hello-dev", "hello-test")),
        (("payment[12]", "hello"), ("hello", "payment1", "payment2")),
        (("payment?",), ("payment1", "payment2")),
        (("[!hp]*",), ("stups", "a.b")),
        (("a.*",), ("a.b",)),
        (("hello", "hello*", "hello"), ("hello", "hello-dev", "hello-test")),
    ],
)
def test_shell_patterns_select_names_in_the_order_of_the_file(
    patterns: tuple[str, ...], chosen: tuple[str, ...]
) -> None:
    assert select(NAMES, patterns) == chosen


@pytest.mark.parametrize(
    ("pattern", "fix"),
    [
        ("hello.*", "write 'hello*'"),
        (".*", "write '*'"),
        ("^hello|stups$", "write 'hello' 'stups'"),
        ("(hello|stups)", "write 'hello' 'stups'"),
        ("hello(-dev|-test)?", "write 'hello' 'hello-dev' 'hello-test'"),
        (r"payment\d", "write 'payment[0-9]'"),
        ("payment.+", "write 'payment?*'"),
        ("[^h].*", "write '[!h]*'"),
        (r"a\.b|stups", "write 'a.b' 'stups'"),
        ("payment[0-9]+", "write the names of the accounts, or shell patterns with * and ?"),
        ("(?i)HELLO", "write the names of the accounts, or shell patterns with * and ?"),
    ],
)
def test_a_regular_expression_is_refused_with_the_shell_form_to_write(pattern: str, fix: str) -> None:
    with pytest.raises(InputError, match="is a regular expression; patterns are shell patterns") as caught:
        select(NAMES, (pattern,))
    assert caught.value.code == "pattern-regular-expression"
    assert caught.value.fix == fix


@pytest.mark.parametrize(
    ("pattern", "fix"),
    [
        ("helo", "did you mean hello, hello-dev, hello-test?"),
        ("zzz*", "the accounts are: hello, hello-dev, hello-test, payment1, payment2 and 2 more"),
        ("(unclosed", "the accounts are: hello, hello-dev, hello-test, payment1, payment2 and 2 more"),
        ("", "the accounts are: hello, hello-dev, hello-test, payment1, payment2 and 2 more"),
    ],
)
def test_a_pattern_that_matches_nothing_is_refused_with_near_names(pattern: str, fix: str) -> None:
    with pytest.raises(InputError) as caught:
        select(NAMES, ("hello", pattern))
    assert (caught.value.code, caught.value.fix) == ("pattern-matches-nothing", fix)


def test_a_name_with_characters_of_patterns_is_matched_by_itself() -> None:
    assert select(("team (old)", "team+1"), ("team (old)", "team+1")) == ("team (old)", "team+1")


@pytest.mark.parametrize("patterns", [("a" * 201,), tuple(f"a{number}" for number in range(1001))])
def test_patterns_are_bounded(patterns: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="pattern"):
        select(NAMES, patterns)


def test_a_pattern_with_control_characters_is_printed_without_them() -> None:
    with pytest.raises(InputError) as caught:
        select(NAMES, ("\x1b[31mred",))
    assert "\x1b" not in caught.value.message


def test_a_regular_expression_that_takes_exponential_time_is_not_run() -> None:
    with pytest.raises(InputError, match="is a regular expression"):
        select(("a" * 100,), ("(a+)+$" + "b",))


@given(st.lists(_names, max_size=6, unique=True), st.text(alphabet="ab1-.*?[]!", max_size=5))
def test_what_is_selected_is_what_the_shell_matches(names: list[str], pattern: str) -> None:
    try:
        chosen = select(names, (pattern,))
    except InputError:
        chosen = ()
    assert set(chosen) in ({one for one in names if fnmatchcase(one, pattern)}, {pattern})


@given(st.lists(_parts, max_size=6), st.lists(_names, min_size=1, max_size=20))
def test_shell_forms_match_what_the_regular_expression_matches(parts: list[str], names: list[str]) -> None:
    expression = "".join(parts)
    try:
        compiled = re.compile(expression)
    except re.error:
        assume(False)
    forms = shell_forms(expression)
    assert len(forms) <= FORMS_MAX
    if forms:
        for name in names:
            assert any(fnmatchcase(name, form) for form in forms) == (compiled.fullmatch(name) is not None), (
                name,
                forms,
            )


@given(st.text(alphabet=string.printable, max_size=30))
def test_any_text_has_forms_or_none(text: str) -> None:
    assert all(shell_forms(text)) or shell_forms(text) == ()
