"""The program whence-accounts: plans and applies the configuration of AWS accounts."""
