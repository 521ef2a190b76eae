"""The tokens and the tree of a condition in CEL, and its text as the engine evaluates it. Pure.

Conditions use a part of CEL. The engine is given the text of the checked tree, never the text that was written, so that
both cannot be read differently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

EXPRESSION_CHARACTERS_MAX = 4_000
STRING_CHARACTERS_MAX = 1_000
TOKENS_MAX = 1_000
EVIDENCE = "evidence_of_subject"
"""The engine's only variable; no macro may use the name."""
MACROS = ("all", "exists", "exists_one", "filter")
_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+|//[^\n]*)"
    r"|(?P<double>[0-9]{1,15}\.[0-9]{1,15})"
    r"|(?P<int>[0-9]{1,18})(?![0-9A-Za-z_.])"
    r"|(?P<raw>[rR](?:\"[^\"\n]*\"|'[^'\n]*'))"
    r"|(?P<string>\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]{0,99})"
    r"|(?P<sign>&&|\|\||[=!<>]=|[<>+\-*/%!?:.,()\[\]])"
)
_TEXT = re.compile(r"\"(?:[^\"\\\\]|\\\\.)*\"")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"\\": "\\", "'": "'", '"': '"', "n": "\n", "t": "\t", "r": "\r"}


class ExpressionWrong(Exception):
    """A condition is wrong: the offset into its text, what is wrong, and what to do."""

    def __init__(self, at: int, message: str, fix: str) -> None:
        super().__init__(message)
        self.at = at
        self.message = message
        self.fix = fix


class Token(NamedTuple):
    """`kind` is that of the pattern; signs and names have their text, the others their value."""

    kind: str
    text: str
    value: str | int | float
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    value: str | int | float | bool
    at: int = field(compare=False, default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    name: str
    at: int = field(compare=False, default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    of: Expression
    name: str
    at: int = field(compare=False, default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    of: Expression
    key: Expression
    at: int = field(compare=False, default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A function; `of` is what it is called on, as in `of.name(…)`."""

    name: str
    of: Expression | None
    arguments: tuple[Expression, ...]
    at: int = field(compare=False, default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unary:
    sign: str
    of: Expression
    at: int = field(compare=False, default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    sign: str
    left: Expression
    right: Expression
    at: int = field(compare=False, default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """`when ? then : otherwise`."""

    when: Expression
    then: Expression
    otherwise: Expression
    at: int = field(compare=False, default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf:
    items: tuple[Expression, ...]
    at: int = field(compare=False, default=0)


Expression = Literal | Name | Member | Index | Call | Unary | Binary | Choice | ListOf


def tokens(text: str) -> Iterator[Token]:
    """Return the tokens of a condition, and one of kind `end`. Raises ExpressionWrong."""
    if len(text) > EXPRESSION_CHARACTERS_MAX:
        raise ExpressionWrong(0, f"the condition is longer than {EXPRESSION_CHARACTERS_MAX} characters",
                              "split it into several rules")  # fmt: skip
    at, count = 0, 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise ExpressionWrong(at, f"not understood: {text[at : at + 20]!r}", _what_is_read(text[at]))
        if found.lastgroup != "space":
            count += 1
            if count > TOKENS_MAX:
                raise ExpressionWrong(at, f"the condition has more than {TOKENS_MAX} words and signs",
                                      "split it into several rules")  # fmt: skip
            yield Token(found.lastgroup, found[0], _value(found.lastgroup, found[0], at), at)
        at = found.end()
    yield Token("end", "", "", len(text))


def _value(kind: str, text: str, at: int) -> str | int | float:
    if kind == "int":
        return int(text)
    if kind == "double":
        return float(text)
    if kind not in ("string", "raw"):
        return text
    if len(text) > STRING_CHARACTERS_MAX:
        raise ExpressionWrong(at, f"a text is longer than {STRING_CHARACTERS_MAX} characters", "shorten it")
    return text[2:-1] if kind == "raw" else _ESCAPE.sub(lambda one: _unescaped(one[1], at), text[1:-1])


def _unescaped(letter: str, at: int) -> str:
    if letter not in _ESCAPED:
        raise ExpressionWrong(at, f"the escape \\{letter} is not supported",
                              r"use \\ \' \" \n \t \r, or a raw text: r'…'")  # fmt: skip
    return _ESCAPED[letter]


def _what_is_read(sign: str) -> str:
    if sign in "{}":
        return "maps and messages are not supported in conditions: use members of the evidence, and lists"
    if sign in "\"'":
        return "end the text with the same quote, on the same line"
    if sign == "=":
        return "write == to compare"
    return "write names, numbers, texts in quotes, and the operators of CEL: && || ! == != < <= > >= + - * / % in ? :"


def written(one: Expression, bound: frozenset[str] = frozenset()) -> str:
    """Return the text of a condition for the engine: every operation in parentheses, but for chains of one operator.

    Members are those of one variable, EVIDENCE. `bound` are the variables of macros around the expression.
    """
    if isinstance(one, Literal):
        return _literal(one.value)
    if isinstance(one, Name):
        return one.name if one.name in bound else f"{EVIDENCE}.{one.name}"
    if isinstance(one, Member):
        return f"{written(one.of, bound)}.{one.name}"
    if isinstance(one, Index):
        return f"{written(one.of, bound)}[{written(one.key, bound)}]"
    if isinstance(one, Call):
        return _call(one, bound)
    if isinstance(one, Unary):
        return f"({one.sign}{written(one.of, bound)})"
    if isinstance(one, Choice):
        when, then, otherwise = (written(part, bound) for part in (one.when, one.then, one.otherwise))
        return f"({when} ? {then} : {otherwise})"
    if isinstance(one, ListOf):
        return f"[{', '.join(written(item, bound) for item in one.items)}]"
    return f"({f' {one.sign} '.join(written(part, bound) for part in chain(one))})"


def _call(one: Call, bound: frozenset[str]) -> str:
    inner = bound
    if one.name in MACROS and one.arguments and isinstance(one.arguments[0], Name):
        inner = bound | {one.arguments[0].name}
    arguments = ", ".join(written(part, inner) for part in one.arguments)
    return f"{written(one.of, bound)}.{one.name}({arguments})" if one.of is not None else f"{one.name}({arguments})"


def depth_of(text: str) -> int:
    """Return how deep the brackets of a condition's written text are nested."""
    deepest = depth = 0
    for sign in re.findall(r"[()\[\]]", _TEXT.sub("", text)):
        depth += 1 if sign in "([" else -1
        deepest = max(deepest, depth)
    return deepest


def chain(one: Binary) -> list[Expression]:
    """Return the operands of a chain of one operator that is grouped from the left, `a && b && c`."""
    found, left = [one.right], one.left
    while isinstance(left, Binary) and left.sign == one.sign and one.sign in ("&&", "||", "+"):
        found.append(left.right)
        left = left.left
    return [left, *reversed(found)]


def _literal(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + "".join(_character(one) for one in value) + '"'
    return f"{value:.15f}" if isinstance(value, float) else str(value)


def _character(one: str) -> str:
    if one in '"\\':
        return f"\\{one}"
    return one if one.isprintable() and ord(one) < 0xD800 else f"\\U{ord(one):08x}"
