"""The services after the boot: supervision, restarts, drift, health, metrics, notices and draining."""

from __future__ import annotations
