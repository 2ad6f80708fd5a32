"""What samples are read from: one file for each form of rows, and one that finds out which form a file has."""
