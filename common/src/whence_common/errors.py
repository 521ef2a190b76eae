"""The tree of errors, divided by cause.

WhenceError
├── InputError   the input is invalid: a retry with the same bytes fails again
│   └── (UserDataInvalid, EnvelopeInvalid, DocumentRefused, …: each defined beside its value)
└── RoadError    a service or resource outside is unreachable, or its response is unusable: a retry may succeed

A bug in Whence raises AssertionError, which is not caught.
"""

from __future__ import annotations


class WhenceError(Exception):
    """An error that an operator can act on. `code` is stable; `fix` states what to do next."""

    def __init__(self, code: str, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fix = fix

    def diagnostics(self) -> str:
        """Return the message, followed by the fix if there is one."""
        return f"{self.message} ({self.fix})" if self.fix else self.message


class InputError(WhenceError):
    """The input is invalid; a retry with the same bytes fails again."""


class RoadError(WhenceError):
    """Something outside is unreachable, or its response is unusable; `retryable` states whether a retry may succeed."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        fix: str = "",
        retryable: bool = True,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(code, message, fix=fix)
        self.retryable = retryable
        self.retry_after_seconds = retry_after_seconds


def leaves(exc: BaseException) -> list[BaseException]:
    """Return the exceptions in nested groups as one list."""
    return [leaf for one in exc.exceptions for leaf in leaves(one)] if isinstance(exc, BaseExceptionGroup) else [exc]


def one_line(text: str, characters_max: int = 300) -> str:
    """Return text from outside as one bounded, printable line for a log or a message."""
    folded = " ".join("".join(c if c.isprintable() else " " for c in text[: characters_max * 4]).split())
    return folded if len(folded) <= characters_max else folded[: characters_max - 1] + "…"
