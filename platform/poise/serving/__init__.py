"""The service: one model behind HTTP, with validation, batching and retrieval."""
