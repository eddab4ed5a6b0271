"""Collections of window vectors in Milvus, and servers for it."""
