"""fullstop.'s interface over Whence's violations. Use cases and pure rules; no HTTP, no SQL and no clock here."""
