"""What shadows cost those who are served: latency with and without, side by side."""
