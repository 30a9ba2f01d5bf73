"""What is fitted, how it scores and how it is kept; knows nothing of tracker or service."""
