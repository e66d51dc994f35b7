"""What is let through: facts, directions, whole sentences."""
