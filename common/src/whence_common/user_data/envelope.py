"""The encoding of user data: at most 16 KiB, UTF-8, first line `#taupage-ami-config`; gzip and MIME are decoded."""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from dataclasses import dataclass

from whence_common.problems import Problem
from whence_common.user_data import multipart
from whence_common.user_data.inflate import MAGIC, inflate
from whence_common.user_data.multipart import HEADER, Part

RAW_BYTES_MAX = 16 * 1024
"""EC2's limit for raw user data."""
INFLATED_BYTES_MAX = 256 * 1024
_ENCODINGS_MAX = 4
_BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}\Z")
_STARTS = re.compile(rb"#|mime-version:|content-type:|from ")
"""The beginnings of all kinds of user data, in lower case."""
_FOREIGN = (
    ("#cloud-config", "cloud-config is not supported"),
    ("#include", "includes are not supported"),
    ("#!", "scripts are not supported"),
    ("#cloud-boothook", "boothooks are not supported"),
    ("#part-handler", "part handlers are not supported"),
    ("#upstart-job", "upstart jobs are not supported"),
    ("## template:", "templates are not supported"),
    ("#zalando-ami-config", "this header was replaced in 2015"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedUserData:
    """The decoded documents, the text that line numbers refer to, and the problems of the encoding."""

    parts: tuple[Part, ...]
    view: str
    problems: tuple[Problem, ...]

    @property
    def lines(self) -> list[str]:
        """Return the lines that problems quote."""
        return re.split(r"\r?\n", self.view)


def open_envelope(raw: bytes) -> OpenedUserData:
    """Decode raw user data; check size, compression, encoding and header. Raises nothing."""
    if len(raw) > RAW_BYTES_MAX:
        return _refused(
            "user-data-too-large",
            f"user data has {len(raw)} bytes; EC2 accepts at most {RAW_BYTES_MAX}",
            "shorten it, or compress it with gzip",
        )
    if raw.startswith(MAGIC):
        inflated = inflate(raw, INFLATED_BYTES_MAX)
        if inflated is None:
            return _refused(
                "user-data-gzip-broken",
                f"user data is gzip, but is damaged, truncated, or larger than {INFLATED_BYTES_MAX} bytes uncompressed",
                "compress the file again, or pass it uncompressed",
            )
        if inflated.startswith(MAGIC):
            return _refused("user-data-gzip-twice", "user data is compressed twice", "compress it once")
        raw = inflated
    times = _times_encoded(raw)
    if times:
        return _refused(
            "user-data-encoded-twice",
            f"this is base64 of user data{'' if times == 1 else f', encoded {times} times'}; EC2 decodes user data "
            "once, so it was encoded twice before it was sent",
            "pass the plain file: the AWS CLI (--user-data file://), Terraform's user_data and Fn::Base64 encode it",
        )
    if not raw.strip():
        return _refused("user-data-empty", "there is no user data", f"start it with the line {HEADER}")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        return _not_utf8(raw, exc.start)
    text = text.removeprefix("\ufeff")
    if multipart.is_multipart(text):
        return _multipart(text, INFLATED_BYTES_MAX)
    problem = _check_header(text, 1)
    readable = problem is None or problem.severity == "warning"
    part = Part(text=text, first_line=1, headed=True)
    return OpenedUserData(parts=(part,) if readable else (), view=text, problems=(problem,) if problem else ())


def _multipart(text: str, inflated_bytes_max: int) -> OpenedUserData:
    parts, view, problems = multipart.split(text, inflated_bytes_max)
    readable = []
    for part in parts:
        problem = _check_header(part.text, part.first_line) if part.headed else None
        problems += [problem] if problem is not None else []
        if problem is None or problem.severity == "warning":
            readable.append(part)
    if not readable and not problems:
        fix = f"add a part of type {multipart.OURS}"
        problems.append(_problem("user-data-empty", "the MIME message has no part for the agent", fix))
    if any(problem.severity == "error" for problem in problems):
        readable = []
    return OpenedUserData(parts=tuple(readable), view=view, problems=tuple(problems))


def _check_header(text: str, first_line: int) -> Problem | None:
    stripped = text.lstrip()
    line = first_line + text[: len(text) - len(stripped)].count("\n")
    first = stripped.split("\n", 1)[0].rstrip()
    lowered = first.lower()
    if lowered.startswith(HEADER):
        if lowered == HEADER:
            return None
        return Problem(
            severity="warning",
            code="user-data-header-suffix",
            line=line,
            column=len(HEADER) + 1,
            path="",
            message=f"other text follows {HEADER} on its line",
            fix=f"write {HEADER} alone on the line",
        )
    for prefix, why in _FOREIGN:
        if lowered.startswith(prefix):
            return _problem("user-data-header-foreign", why, f"write {HEADER} as the first line", line)
    return _problem(
        "user-data-header-missing",
        f"the first line is not {HEADER}",
        f"write {HEADER} as the first line, without spaces after the #",
        line,
    )


def _not_utf8(raw: bytes, start: int) -> OpenedUserData:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _refused("user-data-not-utf8", "user data is UTF-16, as PowerShell's > writes it", "save it as UTF-8")
    line = raw.count(b"\n", 0, start) + 1
    column = start - (raw.rfind(b"\n", 0, start) + 1) + 1
    problem = _problem(
        "user-data-not-utf8", "this byte is not UTF-8", "save the file as UTF-8 without a code page", line, column
    )
    return OpenedUserData(parts=(), view=raw.decode("utf-8", "replace"), problems=(problem,))


def _times_encoded(raw: bytes) -> int:
    """Return how many times user data was encoded as base64; 0 if it does not look like base64."""
    for times in range(_ENCODINGS_MAX + 1):
        if times and (raw.startswith(MAGIC) or _STARTS.match(raw.removeprefix(codecs.BOM_UTF8).lstrip().lower())):
            return times
        text = b"".join(raw.split())
        if len(text) < len(HEADER) or not _BASE64.match(text):
            return 0
        try:
            raw = base64.b64decode(text + b"=" * (-len(text) % 4))
        except binascii.Error:
            return 0
    return 0


def _problem(code: str, message: str, fix: str, line: int = 1, column: int = 1) -> Problem:
    return Problem(severity="error", code=code, line=line, column=column, path="", message=message, fix=fix)


def _refused(code: str, message: str, fix: str) -> OpenedUserData:
    return OpenedUserData(parts=(), view="", problems=(_problem(code, message, fix),))
