"""`whence import`: applications from a running Kio, a file or Backstage's catalog files, written as the caller.

Sources are read by `kio`, `list_file`, `catalog_files` and `git_trees`; what they state is judged by pure modules
(`fields`, `entities`, `backstage`, `plan`). Only `carrying_out` writes, through the Protocol `Registry`. No value of a
source is changed: what cannot be an application is refused with its place, reason and fix.
"""

from __future__ import annotations
