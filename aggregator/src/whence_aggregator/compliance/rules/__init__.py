"""The rules, listed in `catalogue`. A function has the name of its rule's id, a module that of the subject.

Rules are pure: each is a function of the evidence.
"""

from __future__ import annotations
