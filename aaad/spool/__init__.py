"""What the request path wants written: typed records in segment files, drained exactly once. No secret in a file."""
