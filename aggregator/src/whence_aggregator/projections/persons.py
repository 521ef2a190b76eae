"""The people of commits: the e-mail addresses of author and committer, by which a trace finds what they changed.

An address is text that anyone can write into a commit: it finds commits, and proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from whence_aggregator.queries.collect import AddCommitPersonParameters

_MAIL = re.compile(r"<?([!-;=?A-~]{1,200}@[!-;=?A-~]{1,200})>?\Z")
_STATED = ("author", "author_mail", "committer", "committer_mail")
"""Members of a commit's facts; those of the first version state the author alone, as `name <address>`."""


def persons_in(event: Mapping[str, Any], index: int) -> list[AddCommitPersonParameters]:
    """Return the addresses of a commit's people, each once and in lower case."""
    if event["kind"] != "commit" or event["outcome"] != "found":
        return []
    place, _, commit_id = event["subject"].rpartition("@")
    stated = [str(event["value"].get(name) or "").rpartition(" ")[2] for name in _STATED]
    mails = dict.fromkeys(found[1].lower() for one in stated if (found := _MAIL.match(one)) is not None)
    return [{"person": one, "repository": place, "commit_id": commit_id, "ledger_index": index} for one in mails]
