"""Streams: frames of a person in through a WebSocket, refined frames out."""
