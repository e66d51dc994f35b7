"""Training scripts as code: read, changed by one operation, compared, mended, repaired."""
