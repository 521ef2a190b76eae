"""Settings files: YAML, converted to a typed structure. Unknown names are errors; each error has line and column."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import urlsplit

from whence_common.errors import InputError
from whence_common.problems import Problem, Severity, in_document_order, render
from whence_common.settings_typed import FIX, typed
from whence_common.user_data import nodes, strict_yaml

SETTINGS_BYTES_MAX = 1024 * 1024
LISTING_NODES_MAX = 100_000
"""Of a file that lists an organisation's teams, accounts or people: 8,000 teams of three, which take 3 s to read."""
CREDENTIALS = "${CREDENTIALS_DIRECTORY}/"
"""The prefix of files that systemd passes to a unit by LoadCredential=."""
_NO_CREDENTIALS = (
    "CREDENTIALS_DIRECTORY is not set: systemd sets it for units with LoadCredential=. Start the unit; to check by "
    "hand, use systemd-run as in the README (Check)"
)
_FILES = re.compile(r"\w+_(files?|directory)\Z")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_INDEX = re.compile(r"\[([0-9]+)\]")
_QUOTED = re.compile(r": '([^']*)'")
_NONE_RENAMED: Mapping[str, str] = MappingProxyType({})
T = TypeVar("T")


class SettingsInvalid(InputError):
    """The settings are invalid; the message names the place of every error. `problems` are those of valid YAML."""

    def __init__(self, code: str, message: str, *, fix: str = "", problems: Sequence[Problem] = ()) -> None:
        super().__init__(code, message, fix=fix)
        self.problems = tuple(problems)


class Wrong(NamedTuple):
    """An error in valid values, with its own fix."""

    message: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document(Generic[T]):
    """A valid settings file: its settings and their places."""

    name: str
    settings: T
    root: nodes.MappingNode

    def problem(self, message: str, *, fix: str = "", code: str = "settings-invalid",
                severity: Severity = "error") -> Problem:  # fmt: skip
        """Return a problem from a message that begins with the name of a setting, `registry_front.backend is …`."""
        fix = _NO_CREDENTIALS if CREDENTIALS in message else fix
        message = " ".join(one.strip() for one in message.splitlines())  # it may be about several lines of another file
        return _placed(self.root, message, fix=fix, code=code, severity=severity)

    def render(self, problems: Iterable[Problem]) -> str:
        """Return problems as text. Lines of the file are not quoted, since they may contain passwords."""
        return render(in_document_order(problems), name=self.name, lines=())

    def explain(self, exc: InputError) -> str:
        """Return the text of a later error, with the place of the setting that its message names."""
        problem = self.problem(exc.message, fix=exc.fix, code=exc.code)
        if not problem.line:  # the message may name a file instead of a setting
            named = (one for one in _scalars(self.root) if "/" in one.text[:-1] and one.text in exc.message)
            scalar = max(named, key=lambda one: len(one.text), default=None)
            if scalar is None:
                return exc.diagnostics()
            problem = replace(problem, line=scalar.line, column=scalar.column)
        return self.render([problem])


def read(
    content: bytes, structure: type[T], *, name: str, least: str,
    judge: Callable[[T], Iterable[str | Wrong]], credentials_directory: str | None = None,
    renamed: Mapping[str, str] = _NONE_RENAMED, nodes_max: int = strict_yaml.NODES_MAX,
) -> Document[T]:  # fmt: skip
    """Parse and validate a settings file. `least` is the fix for an empty one; `judge` returns errors in valid values.

    Each message of `judge` begins with the name of a setting. `renamed` maps the settings of earlier versions to their
    new names. `nodes_max` bounds keys and values together. Raises SettingsInvalid with every error.
    """
    root = mapping(content, name=name, least=least, nodes_max=nodes_max)
    if credentials_directory is not None:
        _expand(root, credentials_directory)
    settings, problems, left_out = typed(root, structure, renamed)
    found = [*problems]
    if settings is not None:
        roots = {one.partition("[")[0] for one in left_out}  # a list without one of its items is judged as incomplete
        follows = re.compile("|".join(rf"\b{re.escape(one)}\b" for one in roots) or r"(?!)")
        judged = _judged(root, settings, judge, name=name)
        found += [_placed(root, one.message, fix=one.fix) for one in judged if not follows.search(one.message)]
    if found or settings is None:
        ordered = in_document_order(found)
        raise SettingsInvalid("settings-invalid", render(ordered, name=name, lines=()), problems=ordered)
    return Document(name=name, settings=settings, root=root)


def _judged(
    root: nodes.MappingNode, settings: T, judge: Callable[[T], Iterable[str | Wrong]], *, name: str
) -> list[Wrong]:
    """Return the errors in valid values. Raises SettingsInvalid for URLs that cannot be parsed, by place."""
    try:
        return [one if isinstance(one, Wrong) else Wrong(one, FIX) for one in judge(settings)]
    except ValueError as exc:
        found = [
            Problem(
                severity="error", code="settings-invalid", line=one.line, column=one.column, path="",
                message="the URL is malformed: brackets belong around an IPv6 address only", fix="correct it",
            )
            for one in _scalars(root) if not _is_parsed(one.text)
        ]  # fmt: skip
        if not found:
            raise
        raise SettingsInvalid("settings-invalid", render(found, name=name, lines=()), problems=found) from exc


def _is_parsed(text: str) -> bool:
    try:
        urlsplit(text)
    except ValueError:
        return False
    return True


def mapping(
    content: bytes, *, name: str, least: str, nodes_max: int, bytes_max: int = SETTINGS_BYTES_MAX
) -> nodes.MappingNode:
    """Return the root of a YAML file, with the place of every node and without control characters.

    `least` is the fix for an empty file. Raises SettingsInvalid.
    """
    if len(content) > bytes_max:
        raise SettingsInvalid("settings-too-large", f"{name} is larger than {bytes_max} bytes")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        fix = "save the file as UTF-8"
        raise SettingsInvalid("settings-not-utf8", f"{name}:{line}: byte {exc.start} is not UTF-8", fix=fix) from exc
    root, problems = strict_yaml.parse(text, nodes_max=nodes_max)
    if problems:
        raise SettingsInvalid("settings-yaml", render(problems, name=name, lines=()))
    if not isinstance(root, nodes.MappingNode):
        raise SettingsInvalid("settings-not-mapping", f"{name} must be a mapping (name: value)", fix=least)
    _refuse_control_characters(root, name=name)
    return root


def _refuse_control_characters(root: nodes.MappingNode, *, name: str) -> None:
    """Refuse control characters except tabs and line breaks: a NUL truncates file names, or makes them invalid."""
    fix = "remove it; escapes within double quotes, such as \\0, produce control characters"
    found = [
        Problem(
            severity="error", code="settings-control-character", line=one.line, column=one.column, path="",
            message="the text contains a control character", fix=fix,
        )
        for one in (*_scalars(root), *_names(root)) if _CONTROL.search(one.text)
    ]  # fmt: skip
    if found:
        raise SettingsInvalid("settings-invalid", render(found, name=name, lines=()))


def _expand(node: nodes.Node, directory: str, key: str = "") -> nodes.Node:
    """Replace CREDENTIALS at the beginning of file names with systemd's credentials directory."""
    if isinstance(node, nodes.MappingNode):
        node.entries = {name: _expand(inner, directory, name) for name, inner in node.entries.items()}
    elif isinstance(node, nodes.SequenceNode):
        node.items = [_expand(inner, directory, key) for inner in node.items]
    elif _FILES.match(key) and isinstance(node.value, str) and node.value.startswith(CREDENTIALS):
        text = f"{directory.rstrip('/')}/{node.value.removeprefix(CREDENTIALS)}"
        return nodes.ScalarNode(line=node.line, column=node.column, text=text, value=text, plain=node.plain)
    return node


def _placed(root: nodes.MappingNode, message: str, *, fix: str, code: str = "settings-invalid",
            severity: Severity = "error") -> Problem:  # fmt: skip
    """Return a problem at the setting whose name the message begins with, or at the list entry that it quotes next."""
    found: nodes.Node = root
    at, start = (0, 0), 0
    while True:
        index = _INDEX.match(message, start)
        if isinstance(found, nodes.MappingNode):
            key = max((one for one in found.entries if _begins(message, one, start)), key=len, default=None)
            if key is None:
                break
            at, found, start = (found.keys[key].line, found.keys[key].column), found.entries[key], start + len(key)
        elif isinstance(found, nodes.SequenceNode) and index is not None and int(index[1]) < len(found.items):
            found, start = found.items[int(index[1])], index.end()
            at = (found.line, found.column)
        else:
            break
        start += message.startswith(".", start)
    quoted = _QUOTED.match(message, start)
    if isinstance(found, nodes.SequenceNode) and quoted is not None:
        at = next(
            (
                (one.line, one.column)
                for one in found.items
                if isinstance(one, nodes.ScalarNode) and one.text == quoted[1]
            ),
            at,
        )
    return Problem(
        severity=severity,
        code=code,
        line=at[0],
        column=at[1],
        path=message[:start].rstrip("."),
        message=message,
        fix=fix,
    )


def _scalars(node: nodes.Node) -> Iterator[nodes.ScalarNode]:
    if isinstance(node, nodes.ScalarNode):
        yield node
    else:
        for inner in node.items if isinstance(node, nodes.SequenceNode) else node.entries.values():
            yield from _scalars(inner)


def _names(node: nodes.Node) -> Iterator[nodes.ScalarNode]:
    if isinstance(node, nodes.MappingNode):
        yield from node.keys.values()
    if not isinstance(node, nodes.ScalarNode):
        for inner in node.items if isinstance(node, nodes.SequenceNode) else node.entries.values():
            yield from _names(inner)


def _begins(message: str, name: str, start: int) -> bool:
    """Return whether the message has this whole name at `start`, not only a prefix of a longer one."""
    after = message[start + len(name) : start + len(name) + 1]
    return message.startswith(name, start) and not (after.isalnum() or after in ("_", "-"))
