"""Reads files for screens. Everything here waits for the disk and runs in a thread; it returns frozen values."""
