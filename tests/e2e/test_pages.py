"""Every command and snippet of README and docs runs, page by page, in the order of the page.

A new page and a new block need nothing here: they run. What a block presumes and the page did not make before
is named in GIVEN; what cannot run on this machine at all in NOT_RUN, with the reason; what takes minutes runs
with PENULT_TEST_LONG=1 (TRAINS_A_NETWORK, QUICKER).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

import penult
from tests.certificates import Authority
from tests.e2e.conftest import RunningServer, running_server
from tests.long_form import LONG
from tests.page_blocks import PAGES, Block, blocks, name_of
from tests.page_runner import PageRunner
from tests.page_world import PageWorld

NOT_RUN: Mapping[str, str] = {
    "make": "test_docs.py looks for the target; the demo has tests of its own, the rest runs this suite",
    "pip": "changes the environment that the tests run in",
    "grpcurl": "no Python program; test_docs.py reads its request with the protos",
    "docker": "needs an engine; deploy/image-test.sh builds and runs the image without one",
    "sudo": "changes the machine",
    "export": "names a database server that is not here; tests/databases.py starts one",
    "penult models import": "needs a second server; test_moving.py has one",
    "penult models files": "needs a model that was fine-tuned; test_finetune.py has one",
    "penult jobs finish": "needs a fine-tuning under way; test_finetune.py has one",
    "penult-server join": "needs a fine-tuning over several machines under way",
}
"""How commands begin that are not run, and why."""

TRAINS_A_NETWORK = ("finetune", ".tune(", "penult tune")
"""A block that says one of these takes minutes, and runs in the long form only."""

OF_A_TRAINING = ("penult jobs plot", "penult jobs diagnosis")
"""Commands on what such a block made: in the long form too."""

QUICKER: Mapping[str, str] = {
    "-s epochs=10": "-s epochs=1 -s preflight=false",
    "--trials 20": "--trials 3",
    "--trials 30": "--trials 3",
    "trials=30": "trials=3",
    "--minutes 60": "--trials 2 -s epochs=1 -s preflight=false",
    "--search grid": "--search grid --search-option points=2 --trials 4 --refine 0 -s epochs=1 "
    "-s preflight=false",
    "-s learning_rate=proposed": "",
    "--init-from clothing@3": "--init-from clothing@3 -s epochs=1 -s preflight=false",
    "epochs=10": "epochs=1, preflight=False",
    'init_from="cells@1")': 'init_from="cells@1", epochs=1, preflight=False)',
}
"""What the long form runs in the place of what would take an hour: the same with less, in this order."""

GIVEN: Mapping[tuple[str, str], tuple[Callable[[PageWorld], None], ...]] = {
    ("docs/sdk.md", "Models"): (PageWorld.dataset,),
    ("docs/sdk.md", "Jobs"): (PageWorld.flowers,),
    ("docs/cli.md", "penult backbones"): (PageWorld.weights,),
    ("docs/cli.md", "penult train DATASET --model NAME"): (PageWorld.dataset,),
    ("docs/cli.md", "penult finetune DATASET --model NAME"): (PageWorld.versions,),
    ("docs/cli.md", "penult predict MODEL PATHS…"): (PageWorld.versions,),
    ("docs/cli.md", "penult models"): (PageWorld.other_model,),
    ("docs/cli.md", "penult jobs"): (PageWorld.flowers,),
    ("docs/finetuning.md", "Fine-tuning"): (PageWorld.cells,),
    ("docs/finetuning.md", "Tuning"): (PageWorld.cells,),
    ("docs/jobs.md", "Jobs"): (PageWorld.flowers,),
    ("docs/models.md", "Models"): (PageWorld.dataset,),
    ("docs/models.md", "What the calls do"): (PageWorld.versions,),
    ("docs/models.md", "Export"): (PageWorld.versions,),
    ("docs/operations.md", "Who may call"): (PageWorld.certificates,),
}
"""What a section presumes, by page and heading."""


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("pages")


@pytest.fixture(scope="module")
def pages_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of the pages' own, because they use names that other tests may use too."""
    with running_server(tmp_path_factory.mktemp("pages") / "data", "--no-allow-download") as server:
        yield server
        assert server.terminate() == 0


@pytest.fixture
def world(
    pages_server: RunningServer,
    authority: Authority,
    sample_jpegs: list[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[PageWorld]:
    """The reader's directory of photos, as the working directory, and an empty server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENULT_TARGET", pages_server.target)
    monkeypatch.delenv("PENULT_API_KEY", raising=False)
    with penult.Client(pages_server.target) as client:
        world = PageWorld(client, pages_server.target, tmp_path, authority)
        world.photos(sample_jpegs)
        world.empty()
        yield world


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if any(blocks(page))], ids=name_of)
def test_every_command_and_snippet_of_a_page_runs(page: Path, world: PageWorld) -> None:
    not_run = [*NOT_RUN, *(() if LONG else OF_A_TRAINING)]
    runner = PageRunner(world.target, world.folder, not_run, QUICKER, world.job_for)
    before: Block | None = None
    try:
        for block in blocks(page):
            if block.language == "json":
                json.loads(block.code)
            elif block.language in ("python", "sh"):
                if not LONG and any(words in block.code for words in TRAINS_A_NETWORK):
                    continue
                if before is None or block.heading != before.heading:
                    given(world, block)
                elif block.language != before.language:
                    # The same once more in the other language: without what it made the first time.
                    world.empty()
                    given(world, block)
                runner.run(block)
                before = block
            else:
                assert block.language in ("", "text", "mermaid"), f"{block}: neither run nor known as text"
    finally:
        runner.close()


def given(world: PageWorld, block: Block) -> None:
    for prepare in GIVEN.get((block.page, block.heading), ()):
        prepare(world)


def test_the_lists_of_exceptions_name_what_is_there() -> None:
    every = [block for page in PAGES for block in blocks(page)]
    assert set(GIVEN) <= {(block.page, block.heading) for block in every}
    for text in QUICKER:
        assert any(text in block.code for block in every), f"no page has {text!r}"
    for prefix in NOT_RUN:
        assert any(f"\n{prefix} " in f"\n{block.code}" for block in every), f"no page has {prefix!r}"
