"""Generated protocol stubs; `make proto` rewrites every other file of this package."""
