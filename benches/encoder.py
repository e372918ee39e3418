"""Images, texts and files per second of PyTorch, transformers, open_clip and ONNX Runtime, and what `encoder.rs` reads.

    pip install torch==2.15.0 transformers==5.23.0 open_clip_torch==3.3.0 onnx==1.23.2 onnxruntime==1.32.0 pillow==13.0.0
    python benches/encoder.py FOLDER
    VMFMIX_BENCH_FILES=FOLDER cargo bench -- encoder

Checkpoints have random weights in the layouts that the published ones have. Both programs use all processors.
"""

import argparse
import json
import os
import random
import shutil
import time
from pathlib import Path

import numpy as np
import onnxruntime
import open_clip
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.utils.data import DataLoader, Dataset
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

BATCH = 32
WORDS = "a an the photo picture of red green blue large small old dog cat house tree car bicycle street river mountain in on under near with two three people children playing walking running".split()


def median(work, repeats=5):
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def row(name, count, seconds):
    print(f"{name:<34} {count / seconds:8.2f}/s", flush=True)


def checkpoints(folder):
    torch.manual_seed(0)
    vocabulary = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    vit = CLIPModel(CLIPConfig(text_config=dict(eos_token_id=49407))).eval()
    vit.save_pretrained(folder / "vit-b-32")
    rn50 = open_clip.create_model("RN50-quickgelu").eval()
    (folder / "rn50").mkdir(exist_ok=True)
    save_file({k: v.contiguous() for k, v in rn50.state_dict().items()}, folder / "rn50/open_clip_model.safetensors")
    config = dict(model_cfg=open_clip.get_model_config("RN50-quickgelu"))
    (folder / "rn50/open_clip_config.json").write_text(json.dumps(config))
    for model in ("vit-b-32", "rn50"):
        shutil.copy(vocabulary, folder / model)
    return vit, rn50


def files(folder):
    rng, random_ = np.random.default_rng(0), random.Random(0)
    captions = [" ".join(random_.choices(WORDS, k=random_.randint(2, 40))) for _ in range(512)]
    (folder / "captions.txt").write_text("\n".join(captions) + "\n")
    (folder / "jpegs").mkdir(exist_ok=True)
    paths = [folder / f"jpegs/{i:03}.jpg" for i in range(500)]
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


class Vision(torch.nn.Module):
    def __init__(self, clip):
        super().__init__()
        self.clip = clip

    def forward(self, pixels):
        return self.clip.visual_projection(self.clip.vision_model(pixel_values=pixels).pooler_output)


def onnx(clip, pixels, folder):
    path = str(folder / "vision.onnx")
    torch.onnx.export(Vision(clip), (pixels,), path, input_names=["pixels"], dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(path, options)


@torch.inference_mode()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    vit, rn50 = checkpoints(args.folder)
    captions, paths = files(args.folder)

    pixels = torch.randn(BATCH, 3, 224, 224)
    session = onnx(vit, pixels, args.folder)
    row("images/vit-b-32 PyTorch", BATCH, median(lambda: vit.get_image_features(pixel_values=pixels)))
    row("images/vit-b-32 ONNX Runtime", BATCH, median(lambda: session.run(None, {"pixels": pixels.numpy()})))
    row("images/rn50 PyTorch", BATCH, median(lambda: rn50.encode_image(pixels)))

    tokenizer = open_clip.get_tokenizer("RN50-quickgelu")
    lengths = tokenizer(captions).argmax(1) + 1

    def texts(order):
        for rows in torch.tensor(order).split(BATCH):
            ids = tokenizer([captions[i] for i in rows])[:, : lengths[rows].max()]
            vit.get_text_features(input_ids=ids, attention_mask=(ids != 0).long())

    row("texts/vit-b-32 PyTorch", len(captions), median(lambda: texts(range(len(captions)))))
    row("texts/vit-b-32 PyTorch, by length", len(captions), median(lambda: texts(lengths.argsort().tolist())))

    def embed_files():
        for batch in DataLoader(Pictures(paths), BATCH, num_workers=2):
            vit.get_image_features(pixel_values=batch)

    row("files/vit-b-32 Pillow, PyTorch", len(paths), median(embed_files, 3))


if __name__ == "__main__":
    main()
