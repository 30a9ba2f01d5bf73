"""How long subscribers stay, renewal by renewal."""
