"""The landscape: every real part that Whence meets, on loopback, started and stopped by one async context.

processes  one started program with its log
engine     a Docker Engine: the one that runs, else one of our own
registry   Debian's docker-registry
aws        moto's server
git_server git http-backend over HTTP
postgres   a PostgreSQL cluster
images     sample repository, sample images
programs   whence-aggregator and whence-agent as processes
landscape  all of them together
demo       `make demo`
"""

from __future__ import annotations
