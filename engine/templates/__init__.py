"""Scripts that are copied into a workspace as they are, and are the user's from then on."""
