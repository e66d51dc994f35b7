"""From facts to an accepted action and the script that carries it out."""
