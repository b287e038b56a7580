"""Analysis of datasets: pictures, duplicates, and the job that looks for them."""
