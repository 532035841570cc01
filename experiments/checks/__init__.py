"""Looking ahead, tested on a run: everything agents see and do, worked out again on bars cut short."""
