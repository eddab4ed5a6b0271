"""The page of the service: its files, and how they are sent."""
