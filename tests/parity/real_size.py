"""Checkpoints of real size with random weights, pictures, texts, and what Python makes of them.

    pip install -r tests/fixtures/requirements.txt
    python tests/parity/real_size.py FOLDER

writes to the folder, which takes a gigabyte,

    images/              24 pictures of many sizes, modes and formats
    texts.txt            64 texts, one a line
    vit-b-32/            ViT-B/32 in the layout of transformers
    rn50/                RN50 in the layout of open_clip

and, in each of the two, `expected.safetensors`: `pixels`, the bytes after resizing and cropping, `(24, 224, 224, 3)`;
`images` and `texts`, features of length one, in the order of the sorted file names and of the lines. The weights follow
from the formula of `tests/fixtures/make_clips.py`. Features are computed in single precision.

Both models see pictures converted to RGB as transformers 5 does it: what is transparent, by a channel or by the
palette, lies on white; all else is `Image.convert("RGB")`. Of 16-bit grey, Pillow takes all above 255 for white.
open_clip itself differs twice. It converts after resizing and cropping, so that a palette or black and white is resized
by picking the nearest pixel; and it calls `convert("RGB")` on all, which drops the transparency and shows whatever
colour lies below. Here, it gets pictures that are RGB already. Where half a pixel is to be cropped, transformers rounds
down and open_clip to even, so that the two may be one pixel apart, as they are at `full_chroma_301x499.jpg`. The ids of
the texts are those of transformers, with special tokens read as characters, for both models.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from open_clip.model import CLIP
from open_clip.tokenizer import default_bpe
from open_clip.transform import image_transform
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel
from transformers.image_transforms import convert_to_rgb

sys.path.insert(0, str(Path(__file__).parents[1] / "fixtures"))

import make_clips
from make_clips import ImageProcessor

SIZE = 224
BATCH = 8
TEXTS = 64


def pattern(rng, width, height, channels):
    """Waves of several frequencies with a disc and noise on them."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    waves = [np.sin(rng.uniform(1, 40) * x + rng.uniform(1, 40) * y + rng.uniform(0, 6)) for _ in range(channels)]
    centre, radius = rng.uniform(0.2, 0.8, 2), rng.uniform(0.1, 0.4)
    disc = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2
    pixels = np.stack([rng.uniform(60, 190) + rng.uniform(20, 90) * wave for wave in waves], axis=2)
    pixels[disc] = rng.uniform(0, 255, channels)
    pixels = np.clip(pixels + rng.normal(0, 6, pixels.shape), 0, 255).astype(np.uint8)
    return pixels[..., 0] if channels == 1 else pixels


def draw(folder):
    """Draws the pictures."""
    rng = np.random.default_rng(5)

    def picture(width, height, channels=3):
        return Image.fromarray(pattern(rng, width, height, channels))

    def save(image, name, **options):
        image.save(folder / name, **options)

    save(picture(1, 1), "rgb_1x1.png")
    save(picture(1, 300), "rgb_1x300.png")
    save(picture(333, 7), "rgb_333x7.png")
    save(picture(224, 224), "rgb_224x224.png")
    save(picture(225, 223), "rgb_225x223.png")
    save(picture(97, 61), "rgb_97x61.png")
    save(picture(1024, 768), "rgb_1024x768.jpg", quality=92)
    save(picture(640, 480), "progressive_640x480.jpg", quality=85, progressive=True)
    save(picture(301, 499), "full_chroma_301x499.jpg", quality=95, subsampling=0)
    save(picture(511, 257), "low_quality_511x257.jpg", quality=30)
    save(picture(17, 19), "small_17x19.jpg", quality=90)
    save(picture(400, 300, 1), "grey_400x300.jpg", quality=90)
    save(picture(320, 240).convert("CMYK"), "cmyk_320x240.jpg", quality=92)
    save(picture(255, 190, 4), "rgba_255x190.png")
    save(picture(48, 500, 4), "rgba_48x500.png")
    save(picture(130, 200, 1), "grey_130x200.png")
    save(picture(180, 140, 2), "grey_alpha_180x140.png")
    save(picture(150, 100).quantize(64), "palette_150x100.png")
    save(picture(160, 120).quantize(16), "palette_one_transparent_160x120.png", transparency=3)
    palette = picture(210, 90).quantize(32)
    save(palette, "palette_alpha_210x90.png", transparency=bytes(rng.integers(0, 256, 32, dtype=np.uint8)))
    deep = rng.integers(0, 600, (80, 120)).astype(np.uint16)
    deep[20:40] = np.linspace(0, 65535, 120).astype(np.uint16)
    save(Image.fromarray(deep), "grey16_120x80.png")
    save(picture(260, 230, 1).convert("1"), "bilevel_260x230.png")
    keyed = picture(140, 110)
    keyed.paste((10, 200, 30), (30, 20, 90, 80))
    save(keyed, "rgb_key_140x110.png", transparency=(10, 200, 30))
    save(picture(768, 1024), "rgb_768x1024.png")
    return sorted(folder.iterdir(), key=lambda path: path.name)


def texts_without_breaks():
    """Texts of the fixture that are one line each and differ in their ids; and these ids."""
    vocab, merges = make_clips.vocabulary()
    literal = make_clips.readers(vocab, merges)[1]
    rows = {}
    for text in make_clips.TEXTS + make_clips.PHOTOS:
        if text.strip() and len(text.splitlines()) == 1:
            rows.setdefault(tuple(literal.encode(text).ids), text)
    kept = [list(rows)[i * len(rows) // TEXTS] for i in range(TEXTS)]
    return [rows[ids] for ids in kept], [list(ids) for ids in kept]


def transformers_model(folder):
    """ViT-B/32 as transformers saves it; returns the model and its preprocessing."""
    config = CLIPConfig(text_config=dict(bos_token_id=0, eos_token_id=2))
    model = CLIPModel(config)
    make_clips.load(model, make_clips.tensors_of(model, "F32"))
    model.save_pretrained(folder)
    processor = ImageProcessor()
    processor.save_pretrained(folder)
    make_clips.readers(*make_clips.vocabulary())[0].save_pretrained(folder)

    def preprocess(image):
        pixels = processor(image, do_rescale=False, do_normalize=False, return_tensors="np")["pixel_values"][0]
        return as_bytes(pixels), processor(image, return_tensors="pt")["pixel_values"][0]

    return model, preprocess


def open_clip_model(folder):
    """RN50 as the repositories of open_clip hold it; returns the model and its preprocessing."""
    vision = dict(image_size=SIZE, layers=[3, 4, 6, 3], width=64, patch_size=None)
    text = dict(context_length=77, vocab_size=49408, width=512, heads=8, layers=12)
    config = make_clips.open_clip_config(1024, vision, text, True)
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
    model = CLIP(**config["model_cfg"])
    tensors = make_clips.tensors_of(model, "F32")
    for tensor in tensors:
        # Pictures are smoother than the noise of the small models and would grow with every block.
        if tensor[0].startswith("visual.layer") and tensor[0].endswith("conv3.weight"):
            tensor[4] *= 0.4
    make_clips.load(model, tensors)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors", metadata=dict(format="pt"))
    shutil.copy(default_bpe(), folder)
    transform = image_transform(SIZE, is_train=False)

    def preprocess(image):
        image = Image.fromarray(convert_to_rgb(image, return_numpy=True))
        pixels = image
        for step in transform.transforms[:2]:
            pixels = step(pixels)
        return as_bytes(np.asarray(pixels).transpose(2, 0, 1)), transform(image)

    return model, preprocess


def as_bytes(pixels):
    """`(3, SIZE, SIZE)` of whole numbers as `(SIZE, SIZE, 3)` of bytes."""
    pixels = np.ascontiguousarray(np.asarray(pixels).transpose(1, 2, 0))
    assert pixels.shape == (SIZE, SIZE, 3) and (pixels == pixels.astype(np.uint8)).all()
    return torch.from_numpy(pixels.astype(np.uint8))


def encode(model, pixels, ids):
    """Features of length one."""
    is_open_clip = isinstance(model, CLIP)
    images, texts = [], []
    rows = make_clips.padded(ids, 0 if is_open_clip else make_clips.END)
    for start in range(0, len(pixels), BATCH):
        part = pixels[start : start + BATCH]
        images.append(model.encode_image(part) if is_open_clip else model.get_image_features(part).pooler_output)
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        texts.append(model.encode_text(part) if is_open_clip else model.get_text_features(part).pooler_output)
    return torch.cat(images), torch.cat(texts)


@torch.no_grad()
def write(build, folder, paths, ids):
    """Writes one checkpoint and what is expected of it."""
    folder.mkdir(exist_ok=True)
    model, preprocess = build(folder)
    pairs = [preprocess(Image.open(path)) for path in paths]
    images, texts = encode(model, torch.stack([pair[1] for pair in pairs]), ids)
    for name, features in (("images", images), ("texts", texts)):
        make_clips.check(f"{folder.name} {name}", features)
        lengths = features.norm(dim=-1)
        print(f"{folder.name} {name}: largest cosine {make_clips.largest_cosine(features):.3f},", end=" ")
        print(f"lengths {lengths.min():.2f} to {lengths.max():.2f}")
    expected = dict(
        images=torch.nn.functional.normalize(images, dim=-1),
        texts=torch.nn.functional.normalize(texts, dim=-1),
        pixels=torch.stack([pair[0] for pair in pairs]),
    )
    save_file(expected, folder / "expected.safetensors")


def main():
    parser = argparse.ArgumentParser(description="Makes checkpoints of real size and what is expected of them.")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    (folder / "images").mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(2)
    paths = draw(folder / "images")
    assert len(paths) == 24
    texts, ids = texts_without_breaks()
    (folder / "texts.txt").write_text("\n".join(texts) + "\n", newline="\n")
    write(transformers_model, folder / "vit-b-32", paths, ids)
    write(open_clip_model, folder / "rn50", paths, ids)


if __name__ == "__main__":
    main()
