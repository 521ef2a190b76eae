"""The status document, and the endpoint and page that serve it to on-call."""

from __future__ import annotations
