"""Studies of many seeds: what evolution finds and what founders are worth, judged on bars that nobody had seen."""
