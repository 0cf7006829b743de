"""What a new generation measures on itself: how well each route finds, and how far its languages are apart."""
