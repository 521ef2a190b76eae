"""The HTTP side: bodies are bounded, callers known before a body is read, errors are RFC 9457 problems."""

from __future__ import annotations
