"""`python -m penult.demo`: from photos to an accuracy through a Penult server, with a report to look at."""
