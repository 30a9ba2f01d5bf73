"""Models of who is alike."""
