"""From the unified customer profile to point-in-time features; knows nothing of models, tracker or service."""

__version__ = "0.1.0"
