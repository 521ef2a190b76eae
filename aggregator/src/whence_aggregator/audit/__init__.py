"""For auditors: bundles of evidence, the check of log and projections, and making the projections again."""

from __future__ import annotations
