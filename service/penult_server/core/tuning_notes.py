"""What the trials of a tuning say, and what they do not."""

from __future__ import annotations

import math
from statistics import NormalDist

from penult_server.core.search_space import Range, at_edge
from penult_server.core.tuning import Study, Trial, TrialState


def notes(study: Study, best: Trial, count: int, *, tested: bool) -> list[str]:
    """Sentences for people.

    Args:
        study: its trials have ended.
        best: of them.
        count: validation images.
        tested: whether the winner was measured on images that no trial was judged on.
    """
    assert best.accuracy is not None
    scored = study.scored()
    found = [_optimism(len(scored), best.accuracy, count, tested)]
    noise = _standard_error(best.accuracy, count)
    near = [t for t in scored if t is not best and best.accuracy - (t.accuracy or 0.0) < noise]
    if near:
        found.append(
            f"{len(near)} other trials are within the noise of {count} images ({100 * noise:.1f} points) of "
            "the best: which of them won says little"
        )
    for name, parameter in study.plan.space.items():
        end = at_edge(parameter, best.point[name])
        if end and isinstance(parameter, Range):
            found.append(
                f"the best {name} ({best.point[name]:g}) lies at the {end} end of its range "
                f"({parameter.low:g} to {parameter.high:g}): a wider range may have better ones"
            )
    failed = [t for t in study.trials if t.state is TrialState.FAILED]
    if failed:
        reasons = ", ".join(sorted({t.reason for t in failed}))
        found.append(f"{len(failed)} of {len(study.trials)} trials failed ({reasons})")
    return found


def luck(trials: int, accuracy: float, count: int) -> float:
    """By how much the best of equally good trials looks better than they are, on average.

    The expected greatest of `trials` independent normal errors (Blom 1958) of an accuracy on `count` images.
    Trials that are judged on the same images err alike, so this is a bound rather than a correction.
    """
    if trials < 2:
        return 0.0
    return _standard_error(accuracy, count) * NormalDist().inv_cdf((trials - 0.375) / (trials + 0.25))


def _standard_error(accuracy: float, count: int) -> float:
    """Of an accuracy, with one image of each kind added so that 100 % is not certain."""
    share = (accuracy * count + 1) / (count + 2)
    return math.sqrt(share * (1 - share) / (count + 2))


def _optimism(trials: int, accuracy: float, count: int, tested: bool) -> str:
    points = 100 * luck(trials, accuracy, count)
    text = (
        f"{100 * accuracy:.1f} % of {count} validation images is the best of {trials} trials, so optimistic: "
        f"by luck alone the best of as many equal ones would look up to {points:.1f} points better than it is"
    )
    if tested:
        return text + "; the test images were looked at once, for the winner: trust that figure"
    return (
        text + "; there are no test images, so that no figure is free of this: evaluate the model on others"
    )
