"""The facet of the credentials: which generation the application has, and why there is no newer one."""

from __future__ import annotations

from dataclasses import dataclass

from whence_common.statement import CredentialFacts


@dataclass(slots=True, kw_only=True)
class CredentialStatus:
    """The state of the credentials. Written by the package `credentials`."""

    facts: CredentialFacts | None = None
    message: str = ""
    """Why the credentials are not current; empty while they are."""
    tokens_error: str = ""

    def record(self, facts: CredentialFacts, *, message: str) -> None:
        """Record the state of the credential files."""
        self.facts, self.message = facts, message

    def record_tokens_error(self, error: str) -> None:
        """Record why a token could not be obtained; empty if all could."""
        self.tokens_error = error
