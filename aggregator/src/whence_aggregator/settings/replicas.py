"""Settings of the other replicas, which a new one copies the last signed checkpoint from."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

REPLICAS_MAX = 16


class ReplicaSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Replicas of this log that run elsewhere."""

    urls: list[str]
    """Where they answer, or a load balancer in front of them; this replica may be among them."""
    token_file: str
    """The file of a token that may read."""
    ca_file: str | None = None
    """CA certificates to trust in addition to the system's."""


def wrong_in_replicas(replicas: ReplicaSettings | None) -> list[str]:
    """Return what is wrong."""
    if replicas is None:
        return []
    wrong = []
    if not 1 <= len(replicas.urls) <= REPLICAS_MAX:
        wrong.append(f"replicas.urls must name 1 to {REPLICAS_MAX} URLs")
    for number, url in enumerate(replicas.urls):
        try:
            parts = urlsplit(url)
            plain = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            plain = False
        if not plain or "@" in url or "?" in url or "#" in url:
            wrong.append(f"replicas.urls[{number}] must be an http or https URL without login or query")
    return wrong
