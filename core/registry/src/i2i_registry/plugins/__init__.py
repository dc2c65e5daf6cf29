"""How plugins are found: the hooks of pluggy, and their discovery."""
