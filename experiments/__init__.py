"""The study around the arena: the `arena` command, configuration, recording, lineage, replay."""
