"""The kinds of job that make and measure heads, and heads as the server uses them."""
