"""What PyTorch does on a GPU with the products, sweeps, images, texts and files that `device.rs` times, and the files for both.

    pip install -r benches/device.txt
    python benches/device.py FOLDER
    VMFMIX_BENCH_FILES=FOLDER cargo bench --features cuda --bench device

Checkpoints have random weights in the layouts that the published ones have.
"""

import argparse
import os
import random
import shutil
import time
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

BATCH = 256
WORDS = "a an the photo picture of red green blue large small old dog cat house tree car bicycle street river mountain in on under near with two three people children playing walking running".split()
LARGE = dict(
    projection_dim=768,
    text_config=dict(hidden_size=768, intermediate_size=3072, num_attention_heads=12, eos_token_id=49407),
    vision_config=dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16, patch_size=14),
)
MODELS = {"vit-b-32": dict(text_config=dict(eos_token_id=49407)), "vit-l-14": LARGE}


def median(work, repeats=7):
    work()
    times = []
    for _ in range(repeats):
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def row(what, value, unit):
    print(f"| {what} | {value:.1f} | {unit} |", flush=True)


def products():
    n = 8192
    for name, dtype, tf32 in [("f32", torch.float32, False), ("TF32", torch.float32, True), ("bf16", torch.bfloat16, False)]:
        torch.backends.cuda.matmul.allow_tf32 = tf32
        a, b = (torch.randn(n, n, device="cuda", dtype=dtype) for _ in range(2))
        row(f"product, {name}", 2 * n**3 / median(lambda: a @ b) / 1e12, "TFLOP/s")
    torch.backends.cuda.matmul.allow_tf32 = False


def sweeps():
    n, d = 1_000_000, 768
    x = torch.nn.functional.normalize(torch.randn(n, d, device="cuda"))
    for k in (256, 4096):
        means = torch.nn.functional.normalize(torch.randn(k, d, device="cuda"))

        def sweep():
            total = torch.zeros(k, d, device="cuda", dtype=torch.float64)
            for rows in x.split(65536 * 256 // k):
                total += (torch.softmax(100 * (rows @ means.T), 1).T @ rows).double()
            return total

        row(f"soft sweep, K = {k}, f32", n / median(sweep, 3) / 1e6, "million points/s")


def files(folder):
    rng, random_ = np.random.default_rng(0), random.Random(0)
    captions = [" ".join(random_.choices(WORDS, k=random_.randint(2, 40))) for _ in range(4096)]
    (folder / "captions.txt").write_text("\n".join(captions) + "\n")
    (folder / "jpegs").mkdir(exist_ok=True)
    paths = [folder / f"jpegs/{i:04}.jpg" for i in range(2048)]
    for path in paths:
        coarse = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).resize((800, 600), Image.BICUBIC)
        noise = rng.normal(0, 6, (600, 800, 3))
        Image.fromarray(np.clip(coarse + noise, 0, 255).astype(np.uint8)).save(path, quality=90)
    return captions, paths


class Pictures(Dataset):
    def __init__(self, paths):
        self.paths, self.processor = paths, CLIPImageProcessorPil()

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, i):
        image = Image.open(self.paths[i]).convert("RGB")
        return self.processor(image, return_tensors="pt")["pixel_values"][0]


def encoders(folder, captions, paths):
    vocabulary = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    tokenizer = open_clip.get_tokenizer("RN50-quickgelu")
    lengths = tokenizer(captions).argmax(1) + 1
    for name, config in MODELS.items():
        torch.manual_seed(0)
        whole = CLIPModel(CLIPConfig(**config)).eval()
        whole.save_pretrained(folder / name)
        shutil.copy(vocabulary, folder / name)
        for precision, dtype in [("f32", torch.float32), ("f16", torch.float16), ("bf16", torch.bfloat16)]:
            model = CLIPModel.from_pretrained(folder / name, dtype=dtype, attn_implementation="sdpa").cuda().eval()
            pixels = torch.randn(BATCH, 3, 224, 224, device="cuda", dtype=dtype)
            row(f"{name}, images, {precision}", BATCH / median(lambda: model.get_image_features(pixel_values=pixels)), "a second")

            def texts():
                for rows in lengths.argsort().split(BATCH):
                    ids = tokenizer([captions[i] for i in rows])[:, : lengths[rows].max()].cuda()
                    model.get_text_features(input_ids=ids, attention_mask=(ids != 0).long())

            row(f"{name}, texts, {precision}", len(captions) / median(texts, 3), "a second")

            def embed_files():
                for batch in DataLoader(Pictures(paths), BATCH, num_workers=os.cpu_count()):
                    model.get_image_features(pixel_values=batch.to("cuda", dtype))

            if precision == "bf16":
                row(f"{name}, JPEG files, {precision}", len(paths) / median(embed_files, 3), "a second")


@torch.inference_mode()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    captions, paths = files(folder)
    print(f"PyTorch {torch.__version__} on {torch.cuda.get_device_name()}\n\n| | | |\n|---|---|---|")
    products()
    sweeps()
    encoders(folder, captions, paths)


if __name__ == "__main__":
    main()
