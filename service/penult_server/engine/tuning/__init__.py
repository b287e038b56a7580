"""Tuning: many fine-tunings of one dataset, to find the settings that suit it."""

from penult_server.engine.tuning import grid_search, random_search, tpe_search

__all__ = ["grid_search", "random_search", "tpe_search"]
