"""What the user has laid down: rules and instruction."""
