"""What a study found, on one page: for people who were not there."""
