"""What the families work on, and what undisturbed runs make of it; made once, when it is first asked for."""

import shutil
from dataclasses import dataclass
from functools import cached_property

from harness import CLIP, SHAPES, fresh, must
from whole import files


@dataclass
class Job:
    """A call of the program: `arguments` get the place of the results, `output` is what is named as it, in the folder of results."""

    name: str
    arguments: list
    output: str
    # What it writes is a folder of files, of which `output` is the name.
    is_folder: bool = False
    # Options that are another right result: what was there before.
    other: tuple = ()
    # It can go on with what it left.
    resumes: bool = False
    # Hashes of the files of an undisturbed run, and of those that lay there before.
    new: dict = None
    old: dict = None
    seconds: float = 0.0

    def call(self, folder, *more):
        flag = "--output-dir" if self.is_folder else "--output"
        return [*self.arguments, *more, flag, folder / self.output]


class Data:
    """Inputs in a folder, and jobs with the hashes of their undisturbed results."""

    def __init__(self, folder):
        self.folder = fresh(folder)
        self.inputs = self.folder / "inputs"
        self.inputs.mkdir()

    @cached_property
    def texts(self):
        """4,800 different lines."""
        lines = (SHAPES / "captions.txt").read_text().splitlines()
        path = self.inputs / "texts.txt"
        path.write_text("".join(f"{line} {number}\n" for number in range(10) for line in lines))
        return path

    @cached_property
    def few_texts(self):
        path = self.inputs / "few.txt"
        path.write_text("".join((SHAPES / "captions.txt").open().readlines()[:100]))
        return path

    @cached_property
    def images(self):
        return SHAPES / "images"

    @cached_property
    def few_images(self):
        folder = self.inputs / "few"
        folder.mkdir()
        for path in sorted((SHAPES / "images").iterdir())[:40]:
            shutil.copy(path, folder)
        return folder

    def vectors(self, name, rows, dimension, seed=1):
        """A file of embeddings."""
        path = self.inputs / name
        if not path.exists():
            must("sample", "-q", "-n", rows, "--dim", dimension, "--random-state", seed, "-o", path)
        return path

    @cached_property
    def small(self):
        return self.vectors("small.parquet", 700, 16)

    @cached_property
    def large(self):
        return self.vectors("large.npy", 60000, 48)

    @cached_property
    def table(self):
        return self.vectors("table.parquet", 3000, 48)

    @cached_property
    def model(self):
        """A saved mixture on `small`."""
        folder = self.folder / "model"
        must("fit", "-q", "--embeddings", self.small, "--n-runs", 1, "--output-dir", folder)
        return folder / "model_parameters.json"

    @cached_property
    def large_model(self):
        """A saved mixture on `large`."""
        folder = self.folder / "large_model"
        must("fit", "-q", "--embeddings", self.large, "--n-runs", 1, "--max-iterations", 5, "--output-dir", folder)
        return folder / "model_parameters.json"

    def jobs(self):
        """The jobs that are disturbed."""
        clip = ["--clip-model", CLIP]
        embed, texts = ["embed", "-q", *clip], ["--text-file", self.texts, "--shard-size", 400]
        images = ["--image-dir", self.images, "--shard-size", 40]
        fit = ["fit", "-q", "-k", 4, "--n-runs", 2, "--tolerance", 0]
        report = ["report", "-q", "--model", self.model]
        predict = ["predict", "-q", "--model", self.large_model, "--embeddings", self.large]
        less, other = ("--batch-size", 31), ("--random-state", 7)
        return [
            Job("embed texts to .parquet", embed + texts, "texts.parquet", other=less, resumes=True),
            Job("embed texts to .npy", embed + texts, "texts.npy", other=less, resumes=True),
            Job("embed pictures to .parquet", embed + images, "images.parquet", other=less, resumes=True),
            Job("embed pictures to .npy", embed + images, "images.npy", other=less, resumes=True),
            Job("fit", [*fit, "--max-iterations", 60, "--embeddings", self.small], "fit", True, other),
            Job("fit texts", [*fit, "--max-iterations", 20, "--text-file", self.few_texts, *clip], "fit", True, other),
            Job(
                "fit from disk",
                [*fit, "--max-iterations", 60, "--embeddings", self.table, "--memory-share", 0],
                "fit",
                True,
                other,
            ),
            Job("predict", predict, "assigned.parquet"),
            Job("report", [*report, "--embeddings", self.small], "report", True),
        ]

    def job(self, name):
        return next(job for job in self.made if job.name == name)

    @cached_property
    def made(self):
        """The jobs, with what undisturbed runs leave (`new`) and what lay there before (`old`)."""
        jobs = self.jobs()
        for job in jobs:
            folder = fresh(self.before(job))
            if job.name == "report":
                # Of other rows.
                other = self.vectors("other.parquet", 600, 16, seed=2)
                must(*[other if word == self.small else word for word in job.call(folder)])
            elif job.name == "predict":
                other = self.vectors("other.npy", 50000, 48, seed=2)
                must(*[other if word == self.large else word for word in job.call(folder)])
            else:
                must(*job.call(folder, *job.other))
            job.old = files(folder)[0]
            folder = fresh(self.folder / "new")
            job.seconds = must(*job.call(folder)).seconds
            job.new = files(folder)[0]
        shutil.rmtree(self.folder / "new")
        return jobs

    def before(self, job):
        return self.folder / "before" / job.name.replace(" ", "-").replace(".", "")

    def with_old(self, job, folder):
        """A folder in which the results of another run lie."""
        fresh(folder)
        shutil.copytree(self.before(job), folder, dirs_exist_ok=True)
        return folder
