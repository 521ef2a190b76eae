"""mint: credentials of applications, made at a provider, written to the applications' buckets, and rotated."""

from __future__ import annotations
