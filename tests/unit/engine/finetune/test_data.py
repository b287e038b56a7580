from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch

from penult_server.engine.finetune.data import Batch, load_batches, steps_in_epoch
from penult_server.engine.finetune.run import Material
from tests.finetune_lab import PREPROCESS, SIDE, material, settings


@pytest.fixture
def made(tmp_path: Path) -> Material:
    return material(tmp_path)


def batches(
    made: Material, first: int = 0, steps: int = 5, rank: int = 0, ranks: int = 1, **values: object
) -> list[Batch]:
    wanted = settings(**values)
    return list(load_batches(made.train, wanted, PREPROCESS, 8, first, steps, rank=rank, ranks=ranks))


def same(some: list[Batch], others: list[Batch]) -> bool:
    return len(some) == len(others) and all(
        torch.equal(a.pictures, b.pictures) and torch.equal(a.targets, b.targets)
        for a, b in zip(some, others, strict=True)
    )


def test_a_batch_is_pictures_classes_and_places(made: Material) -> None:
    first = batches(made)[0]
    assert first.pictures.shape == (8, SIDE, SIDE, 3)
    assert first.pictures.dtype == torch.uint8
    assert first.targets.tolist() == made.train.targets[first.places.numpy()].tolist()


@pytest.mark.parametrize("augmentation", ["none", "flip", "crop", "randaugment", "trivialaugment"])
def test_batches_follow_from_seed_and_step_alone(made: Material, augmentation: str) -> None:
    whole = batches(made, augmentation=augmentation, vertical_flip=0.5)
    assert same(whole, batches(made, augmentation=augmentation, vertical_flip=0.5))
    assert same(whole[3:], batches(made, first=3, augmentation=augmentation, vertical_flip=0.5))
    assert not same(whole, batches(made, augmentation=augmentation, vertical_flip=0.5, seed=1))
    assert all(batch.pictures.shape == (8, SIDE, SIDE, 3) for batch in whole)


def test_the_number_of_processes_changes_nothing(made: Material) -> None:
    assert same(batches(made), batches(made, loader_workers=2))


def test_augmentation_leaves_the_random_state_alone(made: Material) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    batches(made, augmentation="randaugment")
    assert torch.equal(torch.rand(3), expected)


def test_an_epoch_shows_every_picture_and_the_next_another_order(made: Material) -> None:
    each = steps_in_epoch(len(made.train), 8)
    places = [batch.places.tolist() for batch in batches(made, steps=2 * each)]
    first, second = (
        list(chain(*places[:each])),
        list(chain(*places[each:])),
    )
    assert sorted(first) == sorted(second) == list(range(len(made.train)))
    assert first != second


def test_ranks_share_a_batch(made: Material) -> None:
    whole = batches(made, steps=2, augmentation="none")
    halves = [batches(made, steps=2, rank=rank, ranks=2, augmentation="none") for rank in (0, 1)]
    for all_of_it, a, b in zip(whole, *halves, strict=True):
        assert sorted(all_of_it.places.tolist()) == sorted(a.places.tolist() + b.places.tolist())


def test_flips_leave_a_picture_as_it_is_served_but_for_its_sides(made: Material) -> None:
    one = batches(made, steps=1, augmentation="flip", horizontal_flip=1.0, vertical_flip=1.0)[0]
    for pixels, place in zip(one.pictures, one.places.tolist(), strict=True):
        served = made.train.pictures.served(int(made.train.positions[place]))
        assert np.array_equal(pixels.numpy(), served[::-1, ::-1])


def test_without_augmentation_a_picture_is_as_it_is_served(made: Material) -> None:
    first = batches(made, augmentation="none")[0]
    at = int(made.train.positions[int(first.places[0])])
    assert np.array_equal(first.pictures[0].numpy(), made.train.pictures.served(at))
