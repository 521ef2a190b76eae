"""Reports: summaries of verdicts, their daily snapshots, and how far answers are covered. Nothing is judged here."""

from __future__ import annotations
