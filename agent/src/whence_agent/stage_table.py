"""The stages of a boot, in their order, and their deadlines."""

from __future__ import annotations

STAGES = (
    "identity", "user-data", "enrol", "credentials", "secrets", "image", "host", "storage", "pull", "run", "health",
    "load-balancer", "notify",
)  # fmt: skip
STAGE_SECONDS_MAX = {
    "identity": 120.0,
    "user-data": 10.0,
    "enrol": 10.0,
    "secrets": 90.0,
    "image": 120.0,
    "host": 60.0,
    "prepare": 1800.0,
    "pull": 900.0,
    "run": 180.0,
    "load-balancer": 300.0,
    "notify": 120.0,
}
"""Deadlines of stages in seconds; the setting `stage_seconds_max` changes them. `prepare` is the part of `storage` that
the helper does: making file systems. Credentials and volumes have settings of their own; health's is in user data."""
