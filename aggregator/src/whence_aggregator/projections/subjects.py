"""The subjects of facts: one spelling of each, whatever the entry has, and how commits name tickets. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from whence_aggregator.queries.compliance import UnjudgeTicketParameters
from whence_aggregator.queries.query import array
from whence_aggregator.trace.facts import BRANCH_KIND, RANGE_KIND, REVIEW_KIND, SIGNATURE_KIND
from whence_common.repositories import folded_place

_OF_COMMITS = frozenset(("commit", BRANCH_KIND, SIGNATURE_KIND, REVIEW_KIND, RANGE_KIND))
"""Kinds whose subject begins with a repository."""


def subject_of(event: Mapping[str, Any]) -> str:
    """Return the subject of a fact; entries of earlier versions spell repositories in any case."""
    subject = str(event["subject"])
    return folded_place(subject) if event["kind"] in _OF_COMMITS else subject


def named_as(subject: str) -> UnjudgeTicketParameters:
    """Return how commits name a ticket: by its id, or by its number alone in its own repository."""
    host, _, name = subject.partition("/")
    path, _, number = name.rpartition("#")
    words = [f"#{number}", f"GH-{number}"] if path else []
    return {"word": name, "words": array(words), "repository": folded_place(f"{host}/{path}")}
