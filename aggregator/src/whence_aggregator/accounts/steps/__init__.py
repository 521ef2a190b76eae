"""The steps, one module each: pure functions from an account's configuration to the resources that it wants."""
