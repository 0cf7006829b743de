"""What a question asks: courtesies, quoted phrases, file names, and how it was understood."""
