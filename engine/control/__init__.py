"""How steps are run and answered: what they are given, what they leave, and who asks."""
