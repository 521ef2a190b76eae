"""`python -m whence_aggregator` is `whence-aggregator`."""

from __future__ import annotations

import sys

from whence_aggregator.cli import main

sys.exit(main())
