"""What a sweep is doing now: said by its processes, read by anybody who reaches its folder."""
