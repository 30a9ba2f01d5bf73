"""Models of what customers are worth."""
