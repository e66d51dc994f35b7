"""Other seeds of a version's script: what they come to tells how much of a difference is chance."""
