"""Parts of the composition root that are put together on their own, with plain constructors."""
