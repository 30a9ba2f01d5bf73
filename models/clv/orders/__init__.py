"""How many orders customers place: one module a model, and what all of them can do."""
