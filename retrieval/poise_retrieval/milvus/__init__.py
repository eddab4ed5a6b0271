"""The collection in Milvus, and servers for it."""
