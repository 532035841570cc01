"""A run's champions, found and read again, and the world they were bred in: what reports, exports and trees share."""
