"""Plans as YAML files: found by name, read safely, and joined with those they extend."""
