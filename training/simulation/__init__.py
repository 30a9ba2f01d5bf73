"""Simulated profiles whose truth is known."""
