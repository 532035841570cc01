"""Files of bars: what is missing between them, and writing them."""
