"""Ask a Poise service: whole motions, or streams of frames."""
