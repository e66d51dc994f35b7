"""Training scripts as code: read, changed by one operation, compared, fixed, repaired."""
