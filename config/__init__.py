"""Settings, topics, sources and rules: TOML files become typed settings."""
