"""What customers pay on an order day: one module a model, and what all of them can do."""
