"""The commands of `arena`, one module each; `overrides` and `reading` are what several of them share."""
