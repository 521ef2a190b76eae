"""Query parameters, parsed strictly: unknown ones are refused, values are validated before any query."""

from __future__ import annotations

import re

from aiohttp import web

from whence_aggregator.trace.tracer import SubjectKind, TraceSubject
from whence_common.clock import parse_instant, to_instant
from whence_common.digest import is_sha256_digest
from whence_common.errors import InputError, one_line
from whence_common.identifiers import ACCOUNT_ID, INSTANCE_ID, is_application_id

_COMMIT = re.compile(r"[0-9a-f]{7,64}\Z")
_AMI = re.compile(r"ami-[0-9A-Za-z]{1,40}\Z")
_TICKET = re.compile(r"[A-Za-z0-9_./#:~-]{1,150}\Z")
_REVIEW = re.compile(r"[A-Za-z0-9_./#!:~-]{1,150}\Z")
_PERSON = re.compile(r"[!-;=?A-~]{1,200}(?:@[!-;=?A-~]{1,200})?\Z")
SUBJECTS: tuple[SubjectKind, ...] = (
    "image", "layer", "commit", "review", "ticket", "application", "user_data", "ami", "account", "team", "person",
)  # fmt: skip
_LIMIT_MAX = 500
_LIMIT_DEFAULT = 50
_VALUE_CHARACTERS_MAX = 300


class Query:
    """The parameters of one request. `allowed` are the names that this path takes.

    Raises InputError for any other name, for a repeated name, and for a name without a value.
    """

    def __init__(self, request: web.Request, *allowed: str) -> None:
        self._query = request.query
        for name, value in self._query.items():
            if name not in allowed:
                fix = f"this path takes {', '.join(sorted(allowed))}" if allowed else "this path takes no parameters"
                raise InputError("parameter-unknown", f"unknown parameter: {one_line(name, 100)!r}", fix=fix)
            if len(self._query.getall(name)) > 1:
                raise InputError("parameter-repeated", f"{name} is given more than once", fix="send it once")
            if not value:
                raise InputError("parameter-malformed", f"{name} has no value", fix="omit it, or set a value")

    def text(self, name: str, *, characters_max: int = _VALUE_CHARACTERS_MAX) -> str | None:
        """Return a short printable text, or None when it is absent."""
        value = self._query.get(name)
        if value is not None and (len(value) > characters_max or not value.isprintable()):
            what = f"longer than {characters_max} characters or not printable"
            raise InputError("parameter-malformed", f"{name} is {what}")
        return value

    def instant(self, name: str) -> str | None:
        """Return a time, normalised, or None when it is absent."""
        value = self.text(name)
        return instant(value, name=name) if value is not None else None

    def limit(self) -> int:
        value = self.text("limit")
        if value is None:
            return _LIMIT_DEFAULT
        if not re.fullmatch(r"[1-9][0-9]{0,3}", value) or int(value) > _LIMIT_MAX:
            raise InputError("parameter-malformed", f"limit must be a number from 1 to {_LIMIT_MAX}")
        return int(value)

    def choice(self, name: str, choices: tuple[str, ...]) -> str | None:
        value = self.text(name)
        if value is not None and value not in choices:
            raise InputError("parameter-malformed", f"{name} must be one of: {', '.join(choices)}")
        return value

    def filter(self, name: str) -> str | None:
        """Return a filter of a list. Raises InputError for a value that cannot exist, instead of an empty list."""
        value = self.text(name)
        if value is not None and name == "account":
            return account_id(value)
        kind = next((one for one in SUBJECTS if one == name), None)
        if value is not None and kind is not None:
            _check_subject(kind, value)
        return value

    def subject(self) -> TraceSubject | str:
        """Return what to trace, a Subject or the id of an instance. Exactly one is required."""
        given = [name for name in ("instance", *SUBJECTS) if name in self._query]
        if len(given) != 1:
            raise InputError(
                "subject-count", f"{len(given)} subjects", fix=f"send exactly one of: instance, {', '.join(SUBJECTS)}"
            )
        if "version" in self._query and given != ["application"]:
            raise InputError("parameter-malformed", "version requires application")
        value = self.text(given[0])
        assert value is not None
        if given == ["instance"]:
            return instance_id(value)
        kind = next(kind for kind in SUBJECTS if kind == given[0])
        _check_subject(kind, value)
        value = value.lower() if kind == "person" else value
        return TraceSubject(kind=kind, value=value, version=self.text("version"))


def no_parameters(request: web.Request) -> None:
    """Raise InputError for any parameter, on a path that takes none."""
    if request.rel_url.raw_query_string:
        Query(request)


def instant(text: str, *, name: str) -> str:
    """Return a time, normalised. Raises InputError."""
    try:
        return to_instant(parse_instant(text.replace(" ", "+")))
    except ValueError as exc:
        raise InputError("parameter-malformed", f"{name}: {exc}", fix="write it like 2026-11-22T12:00:00Z") from exc


def instance_id(text: str) -> str:
    """Return a valid instance id. Raises InputError."""
    if not INSTANCE_ID.match(text):
        raise InputError("instance-malformed", "this is not an instance id", fix="write it like i-0123456789abcdef0")
    return text


def account_id(text: str) -> str:
    """Return a valid account id. Raises InputError."""
    if not ACCOUNT_ID.match(text):
        raise InputError("parameter-malformed", "this is not an account id", fix="write its 12 digits")
    return text


def check_image(value: str | None) -> str | None:
    """Return a valid digest, or None when it is absent. Raises InputError."""
    if value is not None:
        _check_subject("image", value)
    return value


def check_ami(value: str | None) -> str | None:
    """Return a valid AMI id, or None when it is absent. Raises InputError."""
    if value is not None and not _AMI.match(value):
        raise InputError(
            "parameter-malformed", "ami is not the id of an AMI", fix="write it like ami-0123456789abcdef0"
        )
    return value


def check_commit(value: str | None) -> str | None:
    """Return a valid commit id or prefix of one, or None when it is absent. Raises InputError."""
    if value is not None:
        _check_subject("commit", value)
    return value


def _check_subject(kind: SubjectKind, value: str) -> None:
    if kind in ("image", "layer", "user_data") and not is_sha256_digest(value):
        raise InputError("parameter-malformed", f"{kind} must be a digest", fix="write sha256: and 64 hex digits")
    if kind == "commit" and not _COMMIT.match(value):
        fix = "write the commit's id or at least its first 7 digits, without the name of a branch"
        raise InputError("parameter-malformed", "commit must be 7 to 64 lower-case hex digits", fix=fix)
    if kind == "ticket" and not _TICKET.match(value):
        fix = "write it like PAY-7, #12 or owner/repository#12"
        raise InputError("parameter-malformed", "ticket must be letters, digits and _ . / # : ~ -", fix=fix)
    if kind == "review" and not _REVIEW.match(value):
        fix = "write #12, !12 or owner/repository#12"
        raise InputError("parameter-malformed", "review must be the number of a review", fix=fix)
    if kind == "person" and not _PERSON.match(value):
        fix = "write it like ada@example.org or ada, without spaces and angle brackets"
        raise InputError("parameter-malformed", "person must be an e-mail address or a login", fix=fix)
    if kind == "ami":
        check_ami(value)
    if kind == "account":
        account_id(value)
    if kind == "application" and not is_application_id(value):
        fix = "write its id as the application registry has it, as in greeter"
        raise InputError("parameter-malformed", "application must be an application id", fix=fix)
