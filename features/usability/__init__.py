"""What a profile is good for: how complete, how timely, and whether it is enough for each task."""
