"""What keeps a baseline from being copied version by version, and its fix."""
