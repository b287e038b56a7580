"""Pages with pictures, each one HTML file that needs nothing else."""
