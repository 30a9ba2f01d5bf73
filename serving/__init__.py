"""Scorer, batch job, online store and service; never training."""
