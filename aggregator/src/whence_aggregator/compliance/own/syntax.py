"""Reads a condition in CEL as a tree, with bounds on its depth. Pure."""

from __future__ import annotations

from whence_aggregator.compliance.own.expression import (
    Binary,
    Call,
    Choice,
    Expression,
    ExpressionWrong,
    Index,
    ListOf,
    Literal,
    Member,
    Name,
    Token,
    Unary,
    tokens,
)

DEPTH_MAX = 20
"""The engine reads at least 64 nested parentheses; each level here is written with two at most."""
_LEVELS: tuple[tuple[str, ...], ...] = (
    ("||",), ("&&",), ("==", "!=", "<", "<=", ">", ">=", "in"), ("+", "-"), ("*", "/", "%"),
)  # fmt: skip
"""Binary operators, the weakest first."""
_COMPARISONS = _LEVELS[2]
_RESERVED = frozenset({
    "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
    "namespace", "return", "var", "void", "while", "null",
})  # fmt: skip
"""Reserved words of CEL, and null, which no condition needs."""


def parse(text: str) -> Expression:
    """Return the tree of a condition. Raises ExpressionWrong."""
    reader = _Reader(list(tokens(text)))
    found = reader.choice(0)
    reader.expect("end", "")
    return found


class _Reader:
    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._place = 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._place]

    def _take(self) -> Token:
        found = self._next
        self._place += 1
        return found

    def _is(self, *texts: str) -> bool:
        return self._next.kind in ("sign", "name") and self._next.text in texts

    def expect(self, kind: str, text: str) -> Token:
        """Return the next token, which must be this one. Raises ExpressionWrong."""
        found = self._next
        if found.kind != kind or (text and found.text != text):
            wanted = f"`{text}`" if text else "an end" if kind == "end" else f"a {kind}"
            shown = f"`{found.text[:20]}`" if found.kind != "end" else "the end"
            raise ExpressionWrong(found.at, f"{wanted} was expected, but {shown} was found", "correct the condition")
        return self._take()

    def choice(self, depth: int) -> Expression:
        """Read `when ? then : otherwise`, or anything that binds more strongly."""
        if depth > DEPTH_MAX:
            raise ExpressionWrong(self._next.at, f"the condition is nested more than {DEPTH_MAX} deep",
                                  "split it into several rules")  # fmt: skip
        when = self._binary(0, depth)
        if not self._is("?"):
            return when
        at = self._take().at
        then = self.choice(depth + 1)
        self.expect("sign", ":")
        return Choice(when=when, then=then, otherwise=self.choice(depth + 1), at=at)

    def _binary(self, level: int, depth: int) -> Expression:
        if level == len(_LEVELS):
            return self._unary(depth)
        left, signs, count = self._binary(level + 1, depth), _LEVELS[level], 0
        while self._is(*signs):
            sign = self._take()
            count += 1
            if count > (1 if signs == _COMPARISONS else DEPTH_MAX if sign.text not in ("&&", "||") else 200):
                raise ExpressionWrong(sign.at, f"too many `{sign.text}` follow each other", "use parentheses, or && ")
            left = Binary(sign=sign.text, left=left, right=self._binary(level + 1, depth), at=sign.at)
        return left

    def _unary(self, depth: int) -> Expression:
        if self._is("!", "-"):
            sign = self._take()
            if self._is("!", "-"):
                raise ExpressionWrong(sign.at, f"`{sign.text}` is doubled", "remove one, or use parentheses")
            return Unary(sign=sign.text, of=self._unary(depth), at=sign.at)
        found, count = self._primary(depth), 0
        while self._is(".", "["):
            sign = self._take()
            count += 1
            if count > DEPTH_MAX:
                raise ExpressionWrong(sign.at, f"more than {DEPTH_MAX} members follow each other", "shorten it")
            found = self._after(found, sign, depth)
        return found

    def _after(self, found: Expression, sign: Token, depth: int) -> Expression:
        """Read what follows `.` or `[`."""
        if sign.text == "[":
            key = self.choice(depth + 1)
            self.expect("sign", "]")
            return Index(of=found, key=key, at=sign.at)
        name = self.expect("name", "")
        if self._is("("):
            return Call(name=name.text, of=found, arguments=self._items(")", depth), at=name.at)
        return Member(of=found, name=name.text, at=name.at)

    def _primary(self, depth: int) -> Expression:
        found = self._next
        if found.kind in ("int", "double", "string", "raw"):
            value = self._take().value
            return Literal(value=value, at=found.at)
        if found.kind == "name":
            self._take()
            if found.text in ("true", "false"):
                return Literal(value=found.text == "true", at=found.at)
            if found.text in _RESERVED:
                raise ExpressionWrong(found.at, f"`{found.text}` cannot be used in a condition", _instead(found.text))
            if self._is("("):
                return Call(name=found.text, of=None, arguments=self._items(")", depth), at=found.at)
            return Name(name=found.text, at=found.at)
        if self._is("("):
            self._take()
            inner = self.choice(depth + 1)
            self.expect("sign", ")")
            return inner
        if self._is("["):
            return ListOf(items=self._items("]", depth), at=found.at)
        shown = f"`{found.text}`" if found.kind != "end" else "the end"
        raise ExpressionWrong(found.at, f"a value was expected, but {shown} was found", "correct the condition")

    def _items(self, end: str, depth: int) -> tuple[Expression, ...]:
        """Read the items between brackets."""
        self._take()
        found: list[Expression] = []
        while not self._is(end):
            if found:
                self.expect("sign", ",")
            found.append(self.choice(depth + 1))
        self._take()
        return tuple(found)


def _instead(word: str) -> str:
    if word == "null":
        return "compare nothing with null: a member that is not known makes the result unknown"
    return "it is a reserved word of CEL"
