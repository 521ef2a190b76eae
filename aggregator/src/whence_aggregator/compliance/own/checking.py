"""Checks a condition against the documented evidence: members, functions and types. Pure.

Nothing that is allowed here observes that a member is absent: no `has`, no map as a value, no null. So an absent member
makes the engine stop, and the result is unknown; it is never a pass that further evidence would take back.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from whence_aggregator.compliance.own.documented import ListType, MapType, Structure, ValueType
from whence_aggregator.compliance.own.expression import (
    EVIDENCE,
    MACROS,
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
    Unary,
)

MACROS_NESTED_MAX = 2
_OF_TEXTS = ("startsWith", "endsWith", "contains", "matches")
_CONVERSIONS: Mapping[str, Mapping[ValueType, ValueType]] = {
    "timestamp": {"string": "timestamp"},
    "duration": {"string": "duration"},
    "double": {"int": "double", "string": "double"},
    "int": {"double": "int", "string": "int"},
    "string": {"int": "string", "double": "string", "bool": "string"},
}
_FUNCTIONS = ("size", *_OF_TEXTS, *MACROS, *_CONVERSIONS)
_SCALARS = ("bool", "int", "double", "string", "timestamp", "duration")
_ORDERED = ("int", "double", "string", "timestamp", "duration")
_SUMS: Mapping[tuple[str, ValueType, ValueType], ValueType] = {
    ("+", "string", "string"): "string",
    ("+", "timestamp", "duration"): "timestamp",
    ("-", "timestamp", "duration"): "timestamp",
    ("-", "timestamp", "timestamp"): "duration",
    ("+", "duration", "duration"): "duration",
    ("-", "duration", "duration"): "duration",
    **{(sign, "int", "int"): "int" for sign in "+-*/%"},
    **{(sign, "double", "double"): "double" for sign in "+-*/"},
}


def check(expression: Expression, evidence: Structure) -> None:
    """Check that a condition is true or false by the evidence. Raises ExpressionWrong."""
    _Checker(evidence).needs(expression, "bool", {}, "a condition")


def members_read(expression: Expression) -> tuple[str, ...]:
    """Return the members of the evidence that a condition reads, as paths."""
    found: set[str] = set()
    _collect(expression, frozenset(), found)
    return tuple(sorted(one for one in found if not any(other.startswith(f"{one}.") for other in found)))


class _Checker:
    def __init__(self, evidence: Structure) -> None:
        self._evidence = evidence

    def needs(self, one: Expression, wanted: ValueType, bound: Mapping[str, ValueType], what: str) -> None:
        found = self.type_of(one, bound)
        if found != wanted:
            raise ExpressionWrong(one.at, f"{what} must be {_shown(wanted)}, but this is {_shown(found)}",
                                  "correct the condition; CEL converts no types by itself")  # fmt: skip

    def type_of(self, one: Expression, bound: Mapping[str, ValueType]) -> ValueType:
        """Return the type of an expression; `bound` are the variables of macros around it. Raises ExpressionWrong."""
        if isinstance(one, Literal):
            return _of_literal(one)
        if isinstance(one, Name):
            return bound[one.name] if one.name in bound else self._member(one.name, self._evidence, one.at)
        if isinstance(one, Member):
            return self._member(one.name, self.type_of(one.of, bound), one.at)
        if isinstance(one, Index):
            return self._index(one, bound)
        if isinstance(one, Call):
            return self._call(one, bound)
        if isinstance(one, Unary):
            return self._unary(one, bound)
        if isinstance(one, Choice):
            self.needs(one.when, "bool", bound, "what stands before ?")
            found = self.type_of(one.then, bound)
            self.needs(one.otherwise, found, bound, "what stands after :")
            return _scalar(found, one.at, "a choice")
        if isinstance(one, ListOf):
            return self._list(one, bound)
        return self._binary(one, bound)

    def _member(self, name: str, of: ValueType, at: int) -> ValueType:
        names: Iterable[str] = ()
        if isinstance(of, Structure):
            names = of.members
            if name in of.members:
                return of.members[name]
        elif isinstance(of, MapType):
            names = of.keys or ()
            if of.keys is None or name in of.keys:
                return of.value
        else:
            raise ExpressionWrong(at, f"{_shown(of)} has no member {name}", "correct the condition")
        close = difflib.get_close_matches(name, list(names), n=1)
        fix = f"did you mean {close[0]}?" if close else f"its members are {', '.join(sorted(names))}"
        raise ExpressionWrong(at, f"the {_shown(of)} does not have {name}", fix)

    def _index(self, one: Index, bound: Mapping[str, ValueType]) -> ValueType:
        of = self.type_of(one.of, bound)
        if isinstance(of, ListType):
            self.needs(one.key, "int", bound, "the place in a list")
            return of.item
        if isinstance(one.key, Literal) and isinstance(one.key.value, str):
            return self._member(one.key.value, of, one.at)
        raise ExpressionWrong(one.at, f"{_shown(of)} has no places", "write a member's name in quotes, or a list")

    def _list(self, one: ListOf, bound: Mapping[str, ValueType]) -> ValueType:
        if not one.items:
            raise ExpressionWrong(one.at, "an empty list is not supported", "write its items")
        found = _scalar(self.type_of(one.items[0], bound), one.at, "an item of a list")
        for item in one.items:
            self.needs(item, found, bound, "an item of the list")
        return ListType(found)

    def _unary(self, one: Unary, bound: Mapping[str, ValueType]) -> ValueType:
        if one.sign == "!":
            self.needs(one.of, "bool", bound, "what stands after !")
            return "bool"
        found = self.type_of(one.of, bound)
        if found not in ("int", "double"):
            raise ExpressionWrong(one.at, f"what stands after - must be a number, but this is {_shown(found)}",
                                  "correct the condition")  # fmt: skip
        return found

    def _binary(self, one: Binary, bound: Mapping[str, ValueType]) -> ValueType:
        if one.sign in ("&&", "||"):
            self.needs(one.left, "bool", bound, f"what stands before {one.sign}")
            self.needs(one.right, "bool", bound, f"what stands after {one.sign}")
            return "bool"
        left = self.type_of(one.left, bound)
        if one.sign == "in":
            self.needs(one.right, ListType(_scalar(left, one.at, "what stands before in")), bound,
                       "what stands after in")  # fmt: skip
            return "bool"
        right = self.type_of(one.right, bound)
        if one.sign in ("==", "!=", "<", "<=", ">", ">="):
            allowed = _SCALARS if one.sign in ("==", "!=") else _ORDERED
            if left == right and left in allowed:
                return "bool"
        elif (one.sign, left, right) in _SUMS:
            return _SUMS[one.sign, left, right]
        raise ExpressionWrong(one.at, f"{_shown(left)} {one.sign} {_shown(right)} is not possible",
                              "both sides must be of one type: convert one by int(…), double(…), string(…), "
                              "timestamp(…) or duration(…)")  # fmt: skip

    def _call(self, one: Call, bound: Mapping[str, ValueType]) -> ValueType:
        if one.name == "has":
            raise ExpressionWrong(one.at, "`has` cannot be used: nothing may pass because a member is not known",
                                  "read the member: where it is not known, the result is unknown")  # fmt: skip
        if one.name in MACROS and one.of is not None:
            return self._macro(one, bound)
        if one.name == "size" and len(one.arguments) + (one.of is not None) == 1:
            found = self.type_of(one.of or one.arguments[0], bound)
            if found == "string" or isinstance(found, ListType):
                return "int"
            raise ExpressionWrong(one.at, f"{_shown(found)} has no size", "use size of a text or a list")
        if one.name in _OF_TEXTS and one.of is not None and len(one.arguments) == 1:
            self.needs(one.of, "string", bound, f"what stands before {one.name}")
            self.needs(one.arguments[0], "string", bound, f"the argument of {one.name}")
            if one.name == "matches" and not isinstance(one.arguments[0], Literal):
                raise ExpressionWrong(one.at, "the pattern of matches must be a text in quotes",
                                      "whoever wrote the evidence would choose what matches")  # fmt: skip
            return "bool"
        if one.name in _CONVERSIONS and one.of is None and len(one.arguments) == 1:
            found = self.type_of(one.arguments[0], bound)
            if found in _CONVERSIONS[one.name]:
                return _CONVERSIONS[one.name][found]
            raise ExpressionWrong(one.at, f"{one.name}(…) of {_shown(found)} is not possible", "correct the condition")
        close = difflib.get_close_matches(one.name, _FUNCTIONS, n=1)
        if one.name in _FUNCTIONS:
            raise ExpressionWrong(one.at, f"{one.name} is called wrongly", "see the table of functions in the README")
        raise ExpressionWrong(one.at, f"there is no function {one.name}",
                              f"did you mean {close[0]}?" if close else f"use {', '.join(_FUNCTIONS)}")  # fmt: skip

    def _macro(self, one: Call, bound: Mapping[str, ValueType]) -> ValueType:
        """Check `list.all(name, condition)`, and those like it."""
        assert one.of is not None
        of = self.type_of(one.of, bound)
        if not isinstance(of, ListType):
            raise ExpressionWrong(one.at, f"{one.name} needs a list, but this is {_shown(of)}",
                                  "name a list of the evidence: members of a map may be absent")  # fmt: skip
        if len(one.arguments) != 2 or not isinstance(one.arguments[0], Name):
            raise ExpressionWrong(one.at, f"{one.name} needs a name and a condition",
                                  f"write LIST.{one.name}(one, one.… == …)")  # fmt: skip
        name = one.arguments[0].name
        if name in bound or name in self._evidence.members or name in (EVIDENCE, "type", *_FUNCTIONS):
            raise ExpressionWrong(one.at, f"{name} is already the name of something else", "choose another name")
        if len(bound) >= MACROS_NESTED_MAX:
            raise ExpressionWrong(one.at, f"more than {MACROS_NESTED_MAX} of {', '.join(MACROS)} are nested",
                                  "split the condition into several rules")  # fmt: skip
        self.needs(one.arguments[1], "bool", {**bound, name: of.item}, f"the condition of {one.name}")
        return of if one.name == "filter" else "bool"


def _of_literal(one: Literal) -> ValueType:
    if isinstance(one.value, bool):
        return "bool"
    return "int" if isinstance(one.value, int) else "double" if isinstance(one.value, float) else "string"


def _scalar(found: ValueType, at: int, what: str) -> ValueType:
    if found in _SCALARS:
        return found
    raise ExpressionWrong(at, f"{what} must be a single value, but this is {_shown(found)}", "name one of its members")


def _shown(found: ValueType) -> str:
    if isinstance(found, ListType):
        return f"list of {_shown(found.item)}"
    if isinstance(found, MapType):
        return f"map of {_shown(found.value)}"
    return found.name if isinstance(found, Structure) else found


def _collect(one: Expression, bound: frozenset[str], found: set[str]) -> None:
    """Add the paths that an expression reads."""
    path = _path(one)
    if path:
        if path[0] not in bound:
            found.add(".".join(path))
        return
    inner = bound
    if isinstance(one, Call) and one.name in MACROS and one.arguments and isinstance(one.arguments[0], Name):
        inner = bound | {one.arguments[0].name}
    for part in _parts(one):
        _collect(part, bound if isinstance(one, Call) and part is one.of else inner, found)


def _parts(one: Expression) -> tuple[Expression, ...]:
    """Return the expressions that an expression is made of."""
    if isinstance(one, (Member, Unary)):
        return (one.of,)
    if isinstance(one, Index):
        return one.of, one.key
    if isinstance(one, Binary):
        return one.left, one.right
    if isinstance(one, Choice):
        return one.when, one.then, one.otherwise
    if isinstance(one, ListOf):
        return one.items
    if isinstance(one, Call):
        return (one.of, *one.arguments) if one.of is not None else one.arguments
    return ()


def _path(one: Expression) -> tuple[str, ...]:
    """Return the names of a path of members; empty for anything else."""
    if isinstance(one, Name):
        return (one.name,)
    if isinstance(one, Member):
        of = _path(one.of)
        return (*of, one.name) if of else ()
    return ()
