"""mint's outside: providers that make credentials, and the buckets that they are written to."""
