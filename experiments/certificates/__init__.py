"""When a champion may be believed: the holdout opened once, and the certificate that comes of it."""
