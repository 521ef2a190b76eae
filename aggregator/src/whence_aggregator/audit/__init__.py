"""Audit: bundles of evidence, the check of log and projections, and the rebuild of projections."""

from __future__ import annotations
