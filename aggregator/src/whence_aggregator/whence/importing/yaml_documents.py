"""The documents of a YAML file, each parsed by itself: an error in one does not hide the others. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from whence_aggregator.whence.importing.values import Origin, Unmapped
from whence_common.user_data import strict_yaml
from whence_common.user_data.nodes import Node, ScalarNode

DOCUMENTS_MAX = 1_000
FILE_BYTES_MAX = 1024 * 1024
NODES_MAX = strict_yaml.NODES_MAX
_START = re.compile(r"---(?:\s|\Z)")
_END = re.compile(r"\.\.\.(?:\s|\Z)")
_BEFORE = re.compile(r"\s*(?:#|\Z)|%")
"""Lines before a document's `---`: blank lines, comments and directives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlDocument:
    """One document. `number` counts from 1, as a person counts: a document of comments alone does not count."""

    root: Node
    number: int


def documents(
    content: bytes, *, file: str, bytes_max: int = FILE_BYTES_MAX, nodes_max: int = NODES_MAX
) -> Iterator[YamlDocument | Unmapped]:
    """Yield the file's documents, and what cannot be read with its place."""
    if len(content) > bytes_max:
        yield _unread(
            Origin(file=file), "import-file-too-large", f"the file is larger than {bytes_max} bytes", "split it"
        )
        return
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        yield _unread(Origin(file=file, line=line), "import-not-utf8", "the file is not UTF-8", "save it as UTF-8")
        return
    for number, (first_line, part) in enumerate(_parts(text), start=1):
        if number > DOCUMENTS_MAX:
            reason = f"the file has more than {DOCUMENTS_MAX} documents; the rest was not read"
            yield _unread(Origin(file=file, line=first_line), "import-documents", reason, "split the file")
            return
        root, problems = strict_yaml.parse(part, first_line=first_line, nodes_max=nodes_max)
        for one in problems:
            yield _unread(Origin(file=file, document=number, line=one.line), one.code, one.message, one.fix)
        if root is not None and not problems and not _is_empty(root):
            yield YamlDocument(root=root, number=number)


def _parts(text: str) -> Iterator[tuple[int, str]]:
    """Yield the first line's number and the text of each document.

    YAML ends a document at `---` or `...` at the start of a line, even within a block of text (section 9.1.2).
    """
    lines: list[str] = []
    first, begun = 1, False
    for number, line in enumerate(text.split("\n"), start=1):
        if (begun and _START.match(line)) or _END.match(line):
            if begun:
                yield first, "\n".join(lines)
            lines, first, begun = [], number, False
            if _END.match(line):
                first = number + 1
                continue
        begun = begun or _BEFORE.match(line) is None
        lines.append(line)
    if begun:
        yield first, "\n".join(lines)


def _is_empty(root: Node) -> bool:
    return isinstance(root, ScalarNode) and root.plain and root.value is None


def _unread(origin: Origin, code: str, reason: str, fix: str) -> Unmapped:
    return Unmapped(origin=origin, code=code, reason=reason, fix=fix, unread=True)
