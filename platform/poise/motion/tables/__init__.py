"""Tables of frames and joints, as text or binary."""
