"""What a workspace shows, read from its files."""
