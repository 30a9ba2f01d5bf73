"""From declared features to numbers: compiled, gathered into few passes and run, in batch and inside a request."""
