"""Agents: how instances enrol, prove their identity, and deliver statements and heartbeats. I/O is through ports."""

from __future__ import annotations
