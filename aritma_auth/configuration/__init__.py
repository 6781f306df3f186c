"""Settings from environment variables or from a TOML file, and what they make."""
