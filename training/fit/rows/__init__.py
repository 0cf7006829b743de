"""From training rows to the padded tokens of a step."""
