"""The credentials of an instance and of its application: what mint made, and what the agent states that it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CredentialName = Literal["user", "client"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveGeneration:
    """A generation of the application that has not ended."""

    kind: CredentialName
    generation: str
    intended_at: str
    published_at: str
    committed_at: str
    """Empty: it is not the current one yet."""
    is_read: bool
    """Whether any instance has stated it."""
    has_secret: bool = True
    """Whether there is anything to rotate: a client that is not confidential has an id alone."""
    is_tampered: bool = False
    """Whether mint found a bucket that does not hold what it wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldObject:
    """An object that the newest statement of an instance names, and what mint knows of it."""

    kind: CredentialName
    generation: str
    version_id: str
    since: str
    """The time of the first statement of the same object."""
    is_minted: bool
    """Whether mint made a generation of this id for the application."""
    is_written: bool | None
    """Whether mint wrote this version; None: the agent states none, or mint has not recorded all yet."""
    intended_at: str
    """When mint began to make it; empty: it did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCredentials:
    """What is known now of the credentials of an application, and of one instance of it."""

    live: tuple[LiveGeneration, ...] = ()
    """Those that have not ended, by kind; empty: mint makes none for the application."""
    readers: int = 0
    """How many running instances are heard, and have stated for some minutes which objects they hold."""
    wanted: tuple[CredentialName, ...] = ()
    """The kinds that the application is to have: of one of them there may be no generation yet."""
    restored_at: str = ""
    """When mint first ran on a database that was restored from a backup; empty: it was not."""
    held: tuple[HeldObject, ...] | None = None
    """None: the agent does not state objects."""

    def current(self, kind: CredentialName) -> LiveGeneration | None:
        """Return the generation that was committed last; None if none was."""
        committed = [one for one in self.live if one.kind == kind and one.committed_at]
        return max(committed, key=lambda one: (one.committed_at, one.intended_at), default=None)
