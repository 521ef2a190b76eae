"""HTTP: bodies are bounded, callers are authenticated before a body is read, errors are RFC 9457 problems."""

from __future__ import annotations
