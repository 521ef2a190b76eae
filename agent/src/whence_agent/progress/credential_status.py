"""The credentials' facet: which generation the application has, and why not a newer one."""

from __future__ import annotations

from dataclasses import dataclass

from whence_common.statement import CredentialFacts


@dataclass(slots=True, kw_only=True)
class CredentialStatus:
    """Written by the room `credentials`."""

    facts: CredentialFacts | None = None
    message: str = ""
    """Why they are not current; empty while they are."""
    tokens_error: str = ""

    def record(self, facts: CredentialFacts, *, message: str) -> None:
        """Take the state of the credential files."""
        self.facts, self.message = facts, message

    def record_tokens_error(self, error: str) -> None:
        """Note why a token could not be got; empty when every one could."""
        self.tokens_error = error
