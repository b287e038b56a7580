"""The steps from an older schema to this version's, run by Alembic at start."""
