"""How things look: colours, themes, words, and the last filter before the terminal."""
