"""What an individual is and does: population, observation, decision, memory, scars, trust, exploration."""
