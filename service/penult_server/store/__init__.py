"""What lasts: files and, later, the database of one data directory."""
