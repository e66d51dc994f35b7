"""What keeps a script from running, and its fix."""
