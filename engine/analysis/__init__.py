"""What the numbers of a version say, worked out without a model."""
