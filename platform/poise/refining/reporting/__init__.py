"""What refining did: in figures, in words, as a picture and as a page; and two motions compared."""
