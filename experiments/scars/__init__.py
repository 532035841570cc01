"""The experiment whether scars help: made-up worlds with crashes that come back, arms, statistics and the page."""
