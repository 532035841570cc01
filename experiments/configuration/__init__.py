"""Configuration: composed, explained, checked, and made into a study."""
