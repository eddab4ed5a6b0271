"""Is this set-up well? What is looked at, what is said of it, and how to mend it."""
