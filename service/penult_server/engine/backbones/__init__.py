"""Pretrained networks without their classifiers: where they come from, what they are, what they give."""
