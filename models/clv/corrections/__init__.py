"""What else is known, held against purchase histories: trees, how far they are trusted, and where the total moves."""
