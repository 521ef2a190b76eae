"""Violations: faults grouped so that one cause is one violation, with their life. No I/O of its own.

A fault opens its violation, and only that it is gone, or folds under another, closes it: not knowing closes nothing.
"""

from __future__ import annotations
