"""A keypoint file made clean: people, doubts, gaps, refining, and what that did."""
