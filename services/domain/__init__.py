"""The vocabulary and the rules of Headgate: no input or output, no clock, no randomness."""
