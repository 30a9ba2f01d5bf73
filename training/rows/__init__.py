"""What is learned from: rows before a prediction time with what followed, and the gates they pass."""
