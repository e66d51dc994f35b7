"""The loop of progtrain: everything that works without a screen and without a language model."""
