"""The rules: `catalogue` lists them. A function is named by its rule's id, and its module by the id's first words.

Rules are pure: each is a function of the evidence.
"""

from __future__ import annotations
