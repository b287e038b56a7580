"""What the pages presume: photos in the reader's directory, and things on the server by their usual names."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image

import penult
from tests.certificates import Authority

CLASSES = ("shirt", "shoe")
EACH = 12
"""Photos of each class."""
QUICK = "nearest_centroid"
SECONDS = 300


class PageWorld:
    """One reader: a directory with photos, and a server that holds only what was made for the page."""

    def __init__(self, client: penult.Client, target: str, folder: Path, authority: Authority) -> None:
        self.target, self.folder = target, folder
        self._client, self._authority = client, authority

    def photos(self, jpegs: list[bytes]) -> None:
        """photos/shirt/1.jpg, photos/shoe/1.jpg, …: cuts of two photographs, each a class of its own."""
        half = len(jpegs) // 2
        for label, cuts in zip(CLASSES, (jpegs[:half], jpegs[half:]), strict=True):
            write_cuts(self.folder / "photos" / label, cuts, range(1, EACH + 1))
        write_cuts(self.folder / "new", jpegs[:half], range(101, 104))
        write_cuts(self.folder, jpegs[half:], range(201, 203))
        (self.folder / "201.jpg").rename("photo.jpg")
        (self.folder / "202.jpg").rename("cat.jpg")

    def empty(self) -> None:
        """Removes all that a page can have made on the server."""
        for index in self._client.indexes.list():
            for alias in index.aliases:
                self._client.indexes.delete_alias(alias)
            self._client.indexes.delete(index.name)
        # An ensemble goes before its members.
        for model in sorted(self._client.models.list(), key=lambda model: model.kind != "ensemble"):
            for version in self._client.models.versions(model.name):
                for alias in version.aliases:
                    self._client.models.remove_alias(model.name, alias)
            self._client.models.delete(model.name)
        for dataset in self._client.datasets.list():
            self._client.datasets.delete(dataset.name)

    def dataset(self, name: str = "clothing") -> None:
        """A dataset of the photos, with splits."""
        if all(dataset.name != name for dataset in self._client.datasets.list()):
            self._client.datasets.create(name)
            self._client.datasets.add_folder(name, self.folder / "photos")
            self._client.datasets.split(name, train=0.5, validation=0.25, test=0.25)

    def flowers(self) -> None:
        """The dataset `flowers`."""
        self.dataset("flowers")

    def versions(self) -> None:
        """Three versions of the model `clothing` at least; the first, a head, has the alias `production`."""
        for job in self._client.jobs.list(["queued", "running"]):
            self._end_of(job)
        self._model("clothing", 3)
        self._client.models.set_alias("clothing", "production", 1)

    def other_model(self) -> None:
        """Two versions of the model `other`."""
        self._model("other", 2)

    def weights(self) -> None:
        """weights.safetensors, of a ResNet-50 that has learnt nothing."""
        import timm
        from safetensors.torch import save_file

        save_file(timm.create_model("resnet50").state_dict(), self.folder / "weights.safetensors")

    def certificates(self) -> None:
        """Those of a server and of a client, and the authority that signed both."""
        (self.folder / "ca.pem").write_bytes(self._authority.pem())
        for name in ("server", "client"):
            self._authority.issue_files(self.folder, name)

    def cells(self) -> None:
        """The datasets `cells` and `more-cells`."""
        self.dataset("cells")
        self.dataset("more-cells")

    def job_for(self, verb: str) -> str:
        """The id of a job that `penult jobs VERB` fits: one to cancel is at work, and so on."""
        if verb in ("plot", "diagnosis"):
            return self._client.jobs.list(kind="finetune", limit=1)[0].id
        job = self._client.datasets.analyze("flowers")
        if verb == "resume":
            job.cancel()
            self._end_of(job)
            return job.id if job.refresh().state == "cancelled" else self.job_for(verb)
        if verb != "cancel":
            self._end_of(job)
        return job.id

    def _end_of(self, job: penult.Job[Any]) -> None:
        for _ in job.watch(timeout=SECONDS):
            pass

    def _model(self, name: str, versions: int) -> None:
        """A model with so many versions at least; what is missing are ensembles, which take no training."""
        self.dataset()
        members = [f"{self._head(member)}@1" for member in ("clothing", "member")]
        known = {model.name for model in self._client.models.list()}
        there = len(self._client.models.versions(name)) if name in known else 0
        for _ in range(versions - there):
            self._client.models.ensemble(name, models=members)

    def _head(self, name: str) -> str:
        """Trains a first version of this model where there is none."""
        if all(model.name != name for model in self._client.models.list()):
            self._client.models.train_head(name, dataset="clothing", head=QUICK).result(timeout=SECONDS)
        return name


def write_cuts(folder: Path, jpegs: list[bytes], numbers: range) -> None:
    """NUMBER.jpg in the folder, no two alike."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        picture = Image.open(io.BytesIO(jpegs[number % len(jpegs)]))
        picture.crop((number % 40, number % 30, picture.width, picture.height)).save(
            folder / f"{number}.jpg", quality=85
        )
