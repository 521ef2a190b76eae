"""What a side of a comparison is about: an instance, a version of an application, or an image, optionally at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from whence_common.clock import parse_instant, to_instant
from whence_common.digest import is_sha256_digest
from whence_common.errors import InputError, one_line
from whence_common.identifiers import INSTANCE_ID, is_application_id, is_application_version

SubjectForm = Literal["instance", "version", "image"]
_FIX = (
    "write i-0123456789abcdef0, greeter/1.0 or sha256: and 64 hex digits; a time may follow: i-…@2026-11-22T12:00:00Z"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A subject, and the time that it is asked about; None means the present."""

    kind: SubjectForm
    value: str
    at: str | None = None

    @classmethod
    def parse(cls, text: str, *, name: str, at: str | None) -> Compared:
        """Return the subject in a parameter; `at` is the time in a parameter of its own. Raises InputError."""
        subject, sign, when = text.partition("@")
        kind = _kind_of(subject)
        if kind is None:
            raise InputError("subject-malformed", f"{name} is not a subject: {one_line(text, 100)!r}", fix=_FIX)
        if not sign:
            return cls(kind=kind, value=subject, at=at)
        if at is not None:
            raise InputError(
                "parameter-malformed", f"{name} has two times", fix="write the time after @, or as a parameter"
            )
        try:
            return cls(kind=kind, value=subject, at=to_instant(parse_instant(when.replace(" ", "+"))))
        except ValueError as exc:
            message = f"{name}: the text after @ is not a time: {exc}"
            raise InputError("parameter-malformed", message, fix="write it like 2026-11-22T12:00:00Z") from exc

    @property
    def version(self) -> tuple[str, str]:
        """Return the application and the version."""
        application, _, version = self.value.partition("/")
        return application, version

    def to_wire(self) -> dict[str, str]:
        if self.kind != "version":
            return {self.kind: self.value}
        application, version = self.version
        return {"application": application, "version": version}


def _kind_of(text: str) -> SubjectForm | None:
    if INSTANCE_ID.match(text):
        return "instance"
    if is_sha256_digest(text):
        return "image"
    application, sign, version = text.partition("/")
    return "version" if sign and is_application_id(application) and is_application_version(version) else None
