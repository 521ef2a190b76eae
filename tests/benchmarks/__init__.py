"""`make bench`: ratios measured in one run, because absolute figures on shared machines mean nothing. Gates no test."""

from __future__ import annotations
