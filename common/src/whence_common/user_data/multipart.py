"""MIME multipart user data: a part of any other type is refused; nothing is fetched, run or rendered."""

from __future__ import annotations

import email
import email.errors
import re
from dataclasses import dataclass
from email.message import Message

from whence_common.errors import one_line
from whence_common.problems import Problem
from whence_common.user_data.inflate import inflate

PARTS_MAX = 20
HEADER = "#taupage-ami-config"
OURS = "text/x-taupage-ami-config"
_FOREIGN = {
    "text/cloud-config": "cloud-config is not supported",
    "text/cloud-config-jsonp": "cloud-config is not supported",
    "text/cloud-config-archive": "cloud-config is not supported",
    "text/x-shellscript": "scripts are not supported",
    "text/cloud-boothook": "boothooks are not supported",
    "text/upstart-job": "upstart jobs are not supported",
    "text/part-handler": "part handlers are not supported",
    "text/jinja2": "templates are not supported",
    "text/x-include-url": "includes are not supported",
    "text/x-include-once-url": "includes are not supported",
}
_PLAIN = ("", "7bit", "8bit", "binary")
_GZIP = frozenset(
    f"application/{kind}"
    for kind in ("gzip", "gzip-compressed", "gzipped", "x-compress", "x-compressed", "x-gunzip", "x-gzip",
                 "x-gzip-compressed")
)  # fmt: skip
"""Types that cloud-init decompresses; the first line determines the type of the result."""
_SHELL_SCRIPT = "text/x-shellscript"
_STARTS = re.compile(
    r"(?:(?:mime-version|content-type|content-transfer-encoding|from|subject|date|message-id|number-attachments):[^\n]*\n)",
    re.IGNORECASE,
)
_MIME_VERSION = re.compile(r"^mime-version:", re.IGNORECASE | re.MULTILINE)
_MIME_CHARACTERS_MAX = 4096
"""cloud-init searches this much text for MIME-Version, which may follow an mbox line and other headers."""
_CHARSETS = frozenset({"utf-8", "us-ascii", "iso-8859-1", "iso-8859-15", "windows-1252", "utf-16"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """`text` begins at line `first_line` of the view. `headed` states that the header line is required."""

    text: str
    first_line: int
    headed: bool


def is_multipart(text: str) -> bool:
    """Return whether a text is a MIME message."""
    text = text.lstrip("\r\n")
    if _STARTS.match(text):
        return True
    return not text.lstrip().startswith("#") and _MIME_VERSION.search(text[:_MIME_CHARACTERS_MAX]) is not None


def split(text: str, inflated_bytes_max: int) -> tuple[list[Part], str, list[Problem]]:
    """Return the agent's parts, the text that line numbers refer to, and the problems of the other parts.

    `inflated_bytes_max` limits the size of all decompressed parts together.
    """
    message = email.message_from_string(text.lstrip("\r\n"))
    leaves = [part for part in message.walk() if not part.is_multipart()]
    problems: list[Problem] = []
    if not message.is_multipart() and message.get_content_maintype() == "multipart":
        return [], text, [_refused(1, "user-data-mime-broken", "the MIME message has no parts", "check its boundary")]
    if any(part.defects for part in message.walk()):
        return [], text, [_refused(1, "user-data-mime-broken", "the MIME message is invalid", "check its boundaries")]
    if len(leaves) > PARTS_MAX:
        message_text = f"there are more than {PARTS_MAX} MIME parts"
        return [], text, [_refused(1, "user-data-mime-parts", message_text, "merge them")]
    encoded = any(_encoding(part) not in _PLAIN for part in leaves)
    view = "" if encoded else text
    parts: list[Part] = []
    position = 0
    for number, leaf in enumerate(leaves, start=1):
        content, inflated = _content(leaf, inflated_bytes_max)
        inflated_bytes_max -= inflated
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
            headed = leaf.get_content_type() != OURS
            parts.append(Part(text=content or "", first_line=line, headed=headed))
    return parts, view, problems


def _what_is_wrong(leaf: Message, content: str | None, number: int, line: int) -> Problem | None:
    kind = leaf.get_content_type()
    if kind == _SHELL_SCRIPT and content is not None and content.lstrip().lower().startswith(HEADER):
        kind = "text/plain"  # as cloud-init does: the first line of a script determines its type
    if kind in _FOREIGN:
        why = f"part {number} is {kind}: {_FOREIGN[kind]}"
        return _refused(line, "user-data-part-foreign", why, f"keep only parts of type {OURS}")
    if kind not in (OURS, "text/plain", "text/x-not-multipart", *_GZIP):
        why = f"part {number} is {one_line(kind, 60)}, which is not supported"
        return _refused(line, "user-data-part-foreign", why, f"keep only parts of type {OURS}")
    if content is None and kind in _GZIP:
        why = f"part {number} is {kind}, but is damaged, truncated, too large or not UTF-8 text"
        return _refused(line, "user-data-gzip-broken", why, "compress the part again, and encode it as base64")
    if content is None:
        return _refused(line, "user-data-part-not-utf8", f"part {number} is not a UTF-8 text", "save it as UTF-8")
    return None


def _encoding(part: Message) -> str:
    return str(part.get("Content-Transfer-Encoding", "")).strip().lower()


def _content(part: Message, inflated_bytes_max: int) -> tuple[str | None, int]:
    """Return a part's text, or None, and its decompressed size in bytes; 0 if it is not compressed."""
    if _encoding(part) in _PLAIN and part.get_content_type() not in _GZIP:
        payload = part.get_payload()
        return (payload.removeprefix("\ufeff") if isinstance(payload, str) else None), 0
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes) or part.defects:
        return None, 0
    inflated = 0
    if part.get_content_type() in _GZIP:
        found = inflate(content, inflated_bytes_max)
        if found is None:
            return None, 0
        content, inflated = found, len(found)
    charset = (part.get_content_charset() or "utf-8").lower()
    for one in (charset if charset in _CHARSETS and not inflated else "utf-8", "utf-8"):
        try:
            return content.decode(one).removeprefix("\ufeff"), inflated
        except UnicodeDecodeError:
            continue
    return None, inflated


def _refused(line: int, code: str, message: str, fix: str) -> Problem:
    return Problem(severity="error", code=code, line=line, column=1, path="", message=message, fix=fix)
