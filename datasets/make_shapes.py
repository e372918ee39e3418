"""Draws `datasets/shapes`: small pictures of coloured shapes with captions and labels.

    python datasets/make_shapes.py            (made with Pillow 13.0.0, NumPy 2.4.6, PyArrow 26.0.1)

Every picture shows one main shape, in one of four colours, on some background, among smaller distractors that may
cover part of it. Neighbouring classes look alike on purpose: hues vary until red meets orange, hexagons may be small
and blurred until they pass for circles, and squares are tilted towards diamonds.

The pictures of the data set come from seeds below `HELD_OUT`; training draws from seeds above it (see
`train_tiny_clip.py`), so that no picture of the data set is ever trained on.
"""

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

FOLDER = Path(__file__).parent / "shapes"
PER_CLASS = 20
SIDE, OVERSAMPLING = 64, 3
HELD_OUT = 1_000_000

SHAPES = ["circle", "hexagon", "square", "diamond", "triangle", "star"]
# Hue in degrees with its spread; saturation and value vary for all alike.
COLOURS = {"red": (357, 6), "orange": (26, 8), "green": (120, 18), "blue": (222, 14)}
SIZES = {"small": (0.15, 0.19), "medium": (0.21, 0.27), "large": (0.29, 0.37)}
BACKGROUNDS = ["plain", "shaded", "striped", "checked", "noisy"]
ROWS, COLUMNS = ["top", "middle", "bottom"], ["left", "centre", "right"]


@dataclass
class Picture:
    image: Image.Image
    shape: str
    colour: str
    size: str
    background: str
    position: str

    @property
    def label(self):
        return f"{self.colour} {self.shape}"


def rgb(rng, colour):
    hue, spread = COLOURS[colour]
    h = ((hue + rng.uniform(-spread, spread)) % 360) / 60
    s, v = rng.uniform(0.62, 1.0), rng.uniform(0.6, 1.0)
    f = [v - v * s * max(0.0, min(k, 4 - k, 1)) for k in ((n + h) % 6 for n in (5, 3, 1))]
    return tuple(round(255 * x) for x in f)


def outline(shape, x, y, r, tilt):
    """Corners of a shape of about the same area whatever its kind; a circle is a polygon of many corners."""
    if shape == "star":
        return [
            (x + k * r * math.sin(tilt + i * math.pi / 5), y - k * r * math.cos(tilt + i * math.pi / 5))
            for i in range(10)
            for k in [1.25 if i % 2 == 0 else 0.52]
        ]
    corners, scale, turn = {
        "circle": (48, 1.0, 0.0),
        "hexagon": (6, 1.08, 0.0),
        "square": (4, 1.22, math.pi / 4),
        "diamond": (4, 1.22, 0.0),
        "triangle": (3, 1.4, 0.0),
    }[shape]
    angles = (tilt + turn + 2 * math.pi * i / corners for i in range(corners))
    return [(x + scale * r * math.sin(a), y - scale * r * math.cos(a)) for a in angles]


def draw_background(rng, kind, n):
    base, other = rng.uniform(150, 245, 3), rng.uniform(120, 250, 3)
    grey = rng.uniform(0.55, 0.95)
    base, other = (grey * c.mean() + (1 - grey) * c for c in (base, other))
    ramp = np.linspace(0, 1, n)
    yy, xx = np.meshgrid(ramp, ramp, indexing="ij")
    if kind == "plain":
        mix = np.zeros((n, n))
    elif kind == "shaded":
        a = rng.uniform(0, 2 * math.pi)
        mix = np.clip(0.5 + (xx - 0.5) * math.cos(a) + (yy - 0.5) * math.sin(a), 0, 1)
    elif kind == "striped":
        a, width = rng.uniform(0, math.pi), rng.uniform(5, 11)
        mix = (np.floor((xx * math.cos(a) + yy * math.sin(a)) * width) % 2) * 0.8
    elif kind == "checked":
        cells = rng.uniform(4, 9)
        mix = ((np.floor(xx * cells) + np.floor(yy * cells)) % 2) * 0.8
    else:
        coarse = Image.fromarray((255 * rng.random((16, 16))).astype(np.uint8)).resize((n, n), Image.Resampling.BILINEAR)
        mix = np.asarray(coarse) / 255.0
    pixels = base + mix[..., None] * (other - base)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def draw(seed, shape=None, colour=None):
    """The picture of a seed; shape and colour are drawn too where they are not given."""
    rng = np.random.default_rng(seed)
    pick = lambda options: options[rng.integers(len(options))]
    shape, colour = shape or pick(SHAPES), colour or pick(list(COLOURS))
    size, background = pick(list(SIZES)), pick(BACKGROUNDS)
    n = SIDE * OVERSAMPLING
    image = draw_background(rng, background, n)
    pen = ImageDraw.Draw(image)

    r = rng.uniform(*SIZES[size])
    x, y = rng.uniform(r + 0.05, 0.95 - r, 2)
    cell = lambda t: min(2, int(3 * t))
    row, column = ROWS[cell(y)], COLUMNS[cell(x)]
    position = "in the middle" if (row, column) == ("middle", "centre") else f"{row} {column}"

    def distractor():
        kind, tone = pick(SHAPES), pick([c for c in COLOURS if c != colour])
        at, radius = rng.uniform(0.02, 0.98, 2), rng.uniform(0.04, 0.085)
        pen.polygon([(n * a, n * b) for a, b in outline(kind, *at, radius, rng.uniform(0, 6.3))], fill=rgb(rng, tone))

    for _ in range(rng.integers(0, 4)):
        distractor()
    tilt = rng.normal(0, 0.16)
    pen.polygon([(n * a, n * b) for a, b in outline(shape, x, y, r, tilt)], fill=rgb(rng, colour))
    for _ in range(rng.integers(0, 3)):
        distractor()
    for _ in range(rng.integers(0, 3)):
        ends = [tuple(n * p) for p in rng.uniform(0, 1, (2, 2))]
        pen.line(ends, fill=tuple(int(c) for c in rng.integers(60, 230, 3)), width=int(rng.integers(2, 6)))

    image = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    if rng.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.4)))
    if rng.random() < 0.5:
        noise = rng.normal(0, rng.uniform(3, 18), (SIDE, SIDE, 1))
        image = Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
    return Picture(image, shape, colour, size, background, position)


def a(word):
    return ("an " if word[0] in "aeiou" else "a ") + word


def caption(rng, picture):
    """One of many wordings; each names the colour and the shape, some the size, the place or the background."""
    thing = picture.label
    sized = f"{picture.size} {thing}" if rng.random() < 0.5 else thing
    there = rng.choice(["", "", f", {picture.position}", f" on a {picture.background} background"])
    return rng.choice(
        [
            f"a photo of {a(sized)}{there}",
            f"{sized}{there}",
            f"there is {a(sized)} here{there}",
            f"a picture showing {a(sized)}{there}",
            f"{a(sized)} among other things{there}",
            f"I can see {a(sized)}{there}",
            f"a {picture.shape} that is {picture.colour}{there}",
            f"the {picture.shape} in this drawing is {picture.colour}",
            f"look at the {sized}{there}!",
        ]
    ).item()


def main():
    import pyarrow as pa
    import pyarrow.parquet as pq

    classes = [(shape, colour) for shape in SHAPES for colour in COLOURS for _ in range(PER_CLASS)]
    rng = np.random.default_rng(0)
    rng.shuffle(classes)
    assert len(classes) < HELD_OUT
    (FOLDER / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for seed, (shape, colour) in enumerate(classes):
        picture = draw(seed, shape, colour)
        png = io.BytesIO()
        picture.image.save(png, "PNG", optimize=True)
        path = f"images/{seed:04}.png"
        (FOLDER / path).write_bytes(png.getvalue())
        row = dict(path=path, caption=caption(rng, picture), label=picture.label, shape=shape, colour=colour)
        row |= dict(size=picture.size, background=picture.background, position=picture.position)
        rows.append(row | dict(image=png.getvalue()))
    pq.write_table(pa.Table.from_pylist(rows), FOLDER / "shapes.parquet", compression="zstd")
    columns = [column for column in rows[0] if column != "image"]
    with open(FOLDER / "shapes.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    for name in ("caption", "label"):
        (FOLDER / f"{name}s.txt").write_text("".join(row[name] + "\n" for row in rows))


if __name__ == "__main__":
    main()
