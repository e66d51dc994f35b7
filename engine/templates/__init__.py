"""What is written into workspaces, and is the user's from then on."""
