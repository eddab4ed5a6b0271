"""The service: validation, batching, refinement and HTTP around one champion."""
