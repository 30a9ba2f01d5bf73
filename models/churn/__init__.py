"""Models of who will leave."""
