"""mint: credentials of applications, made at a provider, written to the applications' buckets, and rotated.

No I/O is done here but through ports. `deciding` is pure: it returns the next step of one application from what is
stored. `rotation` does that step, and makes it durable with its entry in the log before the next is decided, so a
process may die at any point, and two may rotate one application: each write compares the revision that was read.

What holds at every moment: the newest object in each bucket is accepted by its provider, at most two generations of a
kind have not ended, and no secret is stored unsealed, logged or shown.

`store`, `rows`, `state`: what is stored. `making`, `publishing`, `syncing`: the steps at the provider, in the buckets,
and of the application. `looking`, `disturbing`: whether buckets still hold what was written. `calls`, `pace`: requests
to providers. `applications`: what people order. `work`: the task.
"""

from __future__ import annotations
