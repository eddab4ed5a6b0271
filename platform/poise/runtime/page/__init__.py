"""What all pages of Poise share: their look, and skeletons that move."""
