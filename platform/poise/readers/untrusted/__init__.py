"""Files that anybody may have written: read without running them, within a budget."""
