"""The models of a replica: which one a request gets, and which are loaded."""
