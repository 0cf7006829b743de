"""Which pairs are kept: cleaning, copies, spam, and how well the two sides belong together."""
