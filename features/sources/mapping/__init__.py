"""From the columns people have to the canonical ones: declared, applied, guessed."""
