"""A list of applications in Kio's fields: JSON or YAML, as GET /apps and `kio app list -o json` print it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from whence_aggregator.whence.importing.fields import application_of
from whence_aggregator.whence.importing.values import Origin, SourceReading, Unmapped, refuse_duplicates
from whence_aggregator.whence.importing.yaml_documents import YamlDocument, documents
from whence_common.user_data.nodes import MappingNode, Node, SequenceNode, to_python

LIST_BYTES_MAX = 256 * 1024 * 1024
YAML_BYTES_MAX = 32 * 1024 * 1024
RECORDS_MAX = 100_000
_YAML_NODES_MAX = 1_000_000
_BLANK = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRecord:
    """One entry of a list, with its place and the lines of its keys, as far as they are known."""

    value: object
    origin: Origin
    lines: Mapping[str, int]


class _Duplicate(ValueError):
    """A JSON object has a key twice."""


def read_list(content: bytes, *, file: str) -> SourceReading:
    """Return the applications in a file, and what could not be mapped."""
    reading = SourceReading(source=f"file:{file}")
    for count, one in enumerate(_records(content, file), start=1):
        if isinstance(one, Unmapped):
            reading.unmapped.append(one)
            continue
        if count > RECORDS_MAX:
            reason = f"the list has more than {RECORDS_MAX} records; the rest was not read"
            reading.unmapped.append(_unread(one.origin, "import-records", reason, "split the file"))
            break
        add_record(reading, one)
    refuse_duplicates(reading)
    return reading


def add_record(reading: SourceReading, record: ListedRecord) -> None:
    """Add one record of a list to a reading, as an application or with what is wrong with it."""
    if not isinstance(record.value, dict):
        reason, fix = "the record is not an object with Kio's fields", "write id, team_id and name"
        reading.unmapped.append(Unmapped(origin=record.origin, code="import-record", reason=reason, fix=fix))
        return
    found, wrong = application_of(record.value, record.origin, record.lines)
    reading.unmapped += wrong
    if found is not None:
        reading.applications.append(found)


def _records(content: bytes, file: str) -> Iterator[ListedRecord | Unmapped]:
    if len(content) > LIST_BYTES_MAX:
        yield _unread(
            Origin(file=file), "import-file-too-large", f"the file is larger than {LIST_BYTES_MAX} bytes", "split it"
        )
        return
    looks_like_json = content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"[", b"{")
    json_records = list(_of_json(content, file)) if looks_like_json else []
    if json_records and not any(isinstance(one, Unmapped) for one in json_records):
        yield from json_records
        return
    yaml_records = list(_of_yaml(content, file)) if not looks_like_json or len(content) <= YAML_BYTES_MAX else []
    is_yaml = bool(yaml_records) and not any(isinstance(one, Unmapped) for one in yaml_records)
    yield from yaml_records if is_yaml or not looks_like_json else json_records


def _of_yaml(content: bytes, file: str) -> Iterator[ListedRecord | Unmapped]:
    count = 0
    for document in documents(content, file=file, bytes_max=YAML_BYTES_MAX, nodes_max=_YAML_NODES_MAX):
        count += 1
        if isinstance(document, Unmapped):
            yield document
        else:
            yield from _of_document(document, file)
    if not count:
        yield _unread(Origin(file=file), "import-empty", "the file has no list of applications", "write a list, or []")


def _of_document(document: YamlDocument, file: str) -> Iterator[ListedRecord | Unmapped]:
    root = document.root
    items: list[Node] = root.items if isinstance(root, SequenceNode) else [root]
    if not isinstance(root, (SequenceNode, MappingNode)):
        place = Origin(file=file, document=document.number, line=root.line)
        yield _unread(place, "import-not-list", "the document is not a list of applications", "write a list")
        return
    for item in items:
        lines = {name: key.line for name, key in item.keys.items()} if isinstance(item, MappingNode) else {}
        origin = Origin(file=file, document=document.number, line=item.line)
        yield ListedRecord(value=to_python(item), origin=origin, lines=lines)


def _of_json(content: bytes, file: str) -> Iterator[ListedRecord | Unmapped]:
    """Yield the entries of a JSON list one by one: their lines are known, and those before a syntax error are kept."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        yield _unread(Origin(file=file), "import-not-utf8", "the file is not UTF-8", "save it as UTF-8")
        return
    at, line = _BLANK.match(text).end(), 1  # type: ignore[union-attr]  # the pattern matches everywhere
    several = text[at] == "["
    line += text.count("\n", 0, at)
    at += several
    decoder = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_no_constant)
    while True:
        begin = _BLANK.match(text, at).end()  # type: ignore[union-attr]  # the pattern matches everywhere
        line += text.count("\n", at, begin)
        if several and text[begin : begin + 1] == "]":
            break
        origin = Origin(file=file, document=1, line=line)
        try:
            value, at = decoder.raw_decode(text, begin)
        except _Duplicate as exc:
            yield _unread(origin, "import-duplicate-key", str(exc), "keep one of the two")
            return
        except (ValueError, RecursionError):
            yield _unread(origin, "import-not-json", "invalid JSON from here on", "correct the syntax")
            return
        yield ListedRecord(value=value, origin=origin, lines={})
        line += text.count("\n", begin, at)
        end = _BLANK.match(text, at).end()  # type: ignore[union-attr]  # the pattern matches everywhere
        if not several or text[end : end + 1] != ",":
            if several and text[end : end + 1] != "]":
                yield _unread(origin, "import-not-json", "invalid JSON after this record", "correct the syntax")
                return
            begin = end - (not several)
            break
        line += text.count("\n", at, end)
        at = end + 1
    if text[begin + 1 :].strip():
        yield _unread(Origin(file=file, line=line), "import-not-json", "there is text after the list", "remove it")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]  # add returns None
        raise _Duplicate(f"duplicate key {twice[:60]!r} in the record that begins here")
    return found


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _unread(origin: Origin, code: str, reason: str, fix: str) -> Unmapped:
    return Unmapped(origin=origin, code=code, reason=reason, fix=fix, unread=True)
