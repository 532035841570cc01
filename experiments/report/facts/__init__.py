"""What a report says of a run: each part a module that reads tables or champions and answers with plain values."""
