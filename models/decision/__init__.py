"""From scores to decisions: what contacting a customer is worth, whom to contact, and whether it made a difference."""
