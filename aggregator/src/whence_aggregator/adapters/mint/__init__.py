"""Outside of mint: providers of credentials, by their own APIs. No message, log line or handle here holds a secret."""
