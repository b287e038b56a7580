"""`python -m tests.serve_job_kinds serve …`: the server, with the kinds of job of the tests registered."""

from __future__ import annotations

from penult_server.__main__ import main
from tests import job_kinds  # noqa: F401 - registers the kinds

if __name__ == "__main__":
    main()
