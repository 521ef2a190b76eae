"""Agents: how instances enrol, prove who they are, and deliver statements and heartbeats. No I/O but through ports."""

from __future__ import annotations
