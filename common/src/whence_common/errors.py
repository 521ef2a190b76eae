"""The one tree of errors, split by whose fault it is.

WhenceError
├── InputError   what we were given is wrong: trying again with the same bytes cannot help
│   └── (UserDataInvalid, EnvelopeInvalid, DocumentRefused, …: each beside the value it guards)
└── RoadError    something outside could not be reached or answered badly: trying again may help

A bug of ours is an assertion and is not caught.
"""

from __future__ import annotations


class WhenceError(Exception):
    """Something a person can act on. `code` is stable, `fix` says what to do next."""

    def __init__(self, code: str, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fix = fix

    def diagnostics(self) -> str:
        """Give the message and, when there is one, what to do about it."""
        return f"{self.message} ({self.fix})" if self.fix else self.message


class InputError(WhenceError):
    """What we were given is wrong; the same bytes will be wrong again."""


class RoadError(WhenceError):
    """Something outside could not be reached or answered badly; it may be better later."""

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
    """Give what went wrong, out of groups within groups."""
    return [leaf for one in exc.exceptions for leaf in leaves(one)] if isinstance(exc, BaseExceptionGroup) else [exc]


def one_line(text: str, characters_max: int = 300) -> str:
    """Fold foreign text into one bounded, printable line, fit for a log or a message."""
    folded = " ".join("".join(c if c.isprintable() else " " for c in text[: characters_max * 4]).split())
    return folded if len(folded) <= characters_max else folded[: characters_max - 1] + "…"
