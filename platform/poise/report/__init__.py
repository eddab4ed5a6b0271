"""What came of a sweep, or changed from one to another, as a page to send to a colleague."""
