"""MIME multipart user data: every part is ours or is named and refused; nothing is fetched, run or rendered."""

from __future__ import annotations

import email
import email.errors
import re
from dataclasses import dataclass
from email.message import Message

from whence_common.errors import one_line
from whence_common.problems import Problem

PARTS_MAX = 20
_OURS = "text/x-taupage-ami-config"
_FOREIGN = {
    "text/cloud-config": "cloud-config is not read",
    "text/cloud-config-jsonp": "cloud-config is not read",
    "text/cloud-config-archive": "cloud-config is not read",
    "text/x-shellscript": "scripts are never run",
    "text/cloud-boothook": "boothooks are never run",
    "text/upstart-job": "jobs are never installed",
    "text/part-handler": "part handlers are never run",
    "text/jinja2": "templates are never rendered",
    "text/x-include-url": "includes are never fetched",
    "text/x-include-once-url": "includes are never fetched",
}
_PLAIN = ("", "7bit", "8bit", "binary")
_STARTS = re.compile(
    r"(?:(?:mime-version|content-type|content-transfer-encoding|from|subject|date|message-id|number-attachments):[^\n]*\n)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """`text` stands in the view from line `first_line` on. `headed` says that the header line is required."""

    text: str
    first_line: int
    headed: bool


def is_multipart(text: str) -> bool:
    """Say whether this is a MIME message rather than a document."""
    return _STARTS.match(text.lstrip("\r\n")) is not None


def split(text: str) -> tuple[list[Part], str, list[Problem]]:
    """Give the parts that are ours, the text that line numbers refer to, and what is wrong with the others."""
    message = email.message_from_string(text.lstrip("\r\n"))
    leaves = [part for part in message.walk() if not part.is_multipart()]
    problems: list[Problem] = []
    if not message.is_multipart() and message.get_content_maintype() == "multipart":
        return [], text, [_refused(1, "user-data-mime-broken", "the MIME message has no parts", "mind its boundary")]
    if any(part.defects for part in message.walk()):
        return [], text, [_refused(1, "user-data-mime-broken", "the MIME message is broken", "mind its boundaries")]
    if len(leaves) > PARTS_MAX:
        message_text = f"there are more than {PARTS_MAX} MIME parts"
        return [], text, [_refused(1, "user-data-mime-parts", message_text, "merge them")]
    encoded = any(_encoding(part) not in _PLAIN for part in leaves)
    view = "" if encoded else text
    parts: list[Part] = []
    position = 0
    for number, leaf in enumerate(leaves, start=1):
        content = _content(leaf)
        if encoded:
            view += f"--- part {number}: {one_line(leaf.get_content_type(), 60)} ---\n"
            start = len(view)
            view += (content or "") + "\n"
        else:
            start = position = max(text.find(content or "", position), 0)
        line = view.count("\n", 0, start) + 1
        problem = _what_is_wrong(leaf, content, number, line)
        if problem is not None:
            problems.append(problem)
        else:
            headed = leaf.get_content_type() != _OURS
            parts.append(Part(text=content or "", first_line=line, headed=headed))
    return parts, view, problems


def _what_is_wrong(leaf: Message, content: str | None, number: int, line: int) -> Problem | None:
    kind = leaf.get_content_type()
    if kind in _FOREIGN:
        why = f"part {number} is {kind}: {_FOREIGN[kind]}"
        return _refused(line, "user-data-part-foreign", why, f"keep only parts of type {_OURS}")
    if kind not in (_OURS, "text/plain"):
        why = f"part {number} is {one_line(kind, 60)}, which nothing here reads"
        return _refused(line, "user-data-part-foreign", why, f"keep only parts of type {_OURS}")
    if content is None:
        return _refused(line, "user-data-part-not-utf8", f"part {number} is not a UTF-8 text", "save it as UTF-8")
    return None


def _encoding(part: Message) -> str:
    return str(part.get("Content-Transfer-Encoding", "")).strip().lower()


def _content(part: Message) -> str | None:
    if _encoding(part) in _PLAIN:
        payload = part.get_payload()
        return payload if isinstance(payload, str) else None
    decoded = part.get_payload(decode=True)
    try:
        return decoded.decode("utf-8") if isinstance(decoded, bytes) else None
    except UnicodeDecodeError:
        return None


def _refused(line: int, code: str, message: str, fix: str) -> Problem:
    return Problem(severity="error", code=code, line=line, column=1, path="", message=message, fix=fix)
