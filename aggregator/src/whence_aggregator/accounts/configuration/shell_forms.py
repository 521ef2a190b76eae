"""Shell patterns that match the same names as a regular expression, where there are any."""

from __future__ import annotations

import re
from itertools import product

FORMS_MAX = 16
_REPEATS_MAX = 20
_DEPTH_MAX = 10
_ESCAPES = {"d": "[0-9]", "w": "[a-zA-Z0-9_]"}
_COUNT = re.compile(r"\{([0-9]{1,3})(?:(,)([0-9]{0,3}))?\}")
_SPECIAL = "*?["


class _NoForm(Exception):
    """There is no shell pattern for this part."""


def shell_forms(expression: str) -> tuple[str, ...]:
    """Return shell patterns that together match what the expression matches as a whole; empty if there are none."""
    try:
        reader = _Reader(expression)
        forms = reader.alternatives(0)
        if reader.rest:
            return ()
    except _NoForm:
        return ()
    return tuple(dict.fromkeys(re.sub(r"\*{2,}", "*", form) for form in forms if form))


class _Reader:
    """Reads a regular expression by recursive descent; each part is the list of its shell forms."""

    def __init__(self, text: str) -> None:
        self.rest = text

    def alternatives(self, depth: int) -> list[str]:
        if depth > _DEPTH_MAX:
            raise _NoForm
        forms = self._sequence(depth)
        while self._take("|"):
            forms += self._sequence(depth)
        return _bounded(forms)

    def _sequence(self, depth: int) -> list[str]:
        forms, is_first = [""], True
        while self.rest and self.rest[0] not in "|)":
            if self._is_anchor(is_first and depth == 0, depth):
                continue
            is_first = False
            forms = _joined(forms, self._repeated(self._atom(depth)))
        return forms

    def _is_anchor(self, is_first: bool, depth: int) -> bool:
        """Take `^` at the beginning and `$` at the end, which change nothing for a whole match."""
        if is_first and self._take("^"):
            return True
        if depth == 0 and self.rest[:2] in ("$", "$|"):
            return self._take("$")
        return False

    def _atom(self, depth: int) -> list[str]:
        if self._take("(?:") or (not self.rest.startswith("(?") and self._take("(")):
            forms = self.alternatives(depth + 1)
            if not self._take(")"):
                raise _NoForm
            return forms
        if self._take("["):
            return [self._class()]
        letter, self.rest = self.rest[0], self.rest[1:]
        if letter == "\\":
            return [self._escape()]
        if letter == ".":
            return ["?"]
        if letter in "^$*+?{(":
            raise _NoForm
        return [_literal(letter)]

    def _escape(self) -> str:
        letter, self.rest = self.rest[:1], self.rest[1:]
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        if not letter or letter.isalnum():
            raise _NoForm
        return _literal(letter)

    def _class(self) -> str:
        found = re.match(r"(\^?)([^\]\[\\!^]+)\]", self.rest)
        if found is None:
            raise _NoForm
        self.rest = self.rest[found.end() :]
        return f"[{'!' if found[1] else ''}{found[2]}]"

    def _repeated(self, forms: list[str]) -> list[str]:
        least, most = self._count()
        if self.rest[:1] in ("*", "+", "?") and (least, most) != (1, 1):
            raise _NoForm  # lazy and possessive repetitions
        if most is None:
            if forms != ["?"]:
                raise _NoForm
            return ["?" * least + "*"]
        return _bounded([form for number in range(least, most + 1) for form in _power(forms, number)])

    def _count(self) -> tuple[int, int | None]:
        for sign, least, most in (("*", 0, None), ("+", 1, None), ("?", 0, 1)):
            if self._take(sign):
                return least, most
        found = _COUNT.match(self.rest)
        if found is None:
            return 1, 1
        self.rest = self.rest[found.end() :]
        least = int(found[1])
        top = least if found[2] is None else int(found[3]) if found[3] else None
        if max(least, top or 0) > _REPEATS_MAX:
            raise _NoForm
        return least, top

    def _take(self, sign: str) -> bool:
        if not self.rest.startswith(sign):
            return False
        self.rest = self.rest[len(sign) :]
        return True


def _power(forms: list[str], number: int) -> list[str]:
    result = [""]
    for _ in range(number):
        result = _joined(result, forms)
    return result


def _joined(left: list[str], right: list[str]) -> list[str]:
    return _bounded([a + b for a, b in product(left, right)])


def _bounded(forms: list[str]) -> list[str]:
    if len(forms) > FORMS_MAX:
        raise _NoForm
    return forms


def _literal(letter: str) -> str:
    return f"[{letter}]" if letter in _SPECIAL else letter
