"""How the rows of a profile come in, typed as the contract asks, and what is said of those that break it."""
