"""Trains `datasets/tiny-clip`, a real but tiny CLIP, on drawn shapes.

    python datasets/train_tiny_clip.py      (made with PyTorch 2.15.0, transformers 5.23.0, tokenizers 0.23.3)

The folder is what Hugging Face expects of any CLIP: `config.json`, `model.safetensors` (half precision),
`tokenizer.json`, `preprocessor_config.json`. The vocabulary is byte-level BPE as CLIP's own, with fewer merges. Training
draws its pictures from seeds above `HELD_OUT`; the figures printed at the end are of the data set, none of whose
pictures was seen.
"""

import csv
import json
import time
from multiprocessing import Pool

import numpy as np
import torch
from PIL import Image
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import CLIPConfig, CLIPModel

from make_shapes import FOLDER, HELD_OUT, a, caption, draw

OUT = FOLDER.parent / "tiny-clip"
PICTURES, STEPS, BATCH, MERGES = 24_000, 1_800, 128, 400
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
START, END = "<|startoftext|>", "<|endoftext|>"


def sample(seed):
    picture = draw(seed)
    rng = np.random.default_rng(seed)
    return np.asarray(picture.image), [caption(rng, picture) for _ in range(4)], picture.label


def byte_pair_tokenizer(texts):
    """CLIP's tokeniser: NFC, one space, lower case; words end in </w>; 256 bytes, 256 final bytes, merges, 2 marks."""
    normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    words = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(words), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer, learner.pre_tokenizer = normalizer, pre_tokenizer
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=2 * len(symbols) + MERGES, initial_alphabet=symbols, end_of_word_suffix="</w>", show_progress=False
    )
    learner.train_from_iterator(texts, trainer)
    merges = [tuple(merge) for merge in json.loads(learner.to_str())["model"]["merges"]]
    tokens = symbols + [s + "</w>" for s in symbols]
    tokens += list(dict.fromkeys("".join(merge) for merge in merges if "".join(merge) not in tokens))
    tokens += [START, END]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, unk_token=END, continuing_subword_prefix="", end_of_word_suffix="</w>")
    )
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([START, END])
    mark = lambda token: (token, vocabulary[token])
    tokenizer.post_processor = processors.RobertaProcessing(mark(END), mark(START), trim_offsets=False, add_prefix_space=False)
    return tokenizer


def encode(tokenizer, texts):
    ids = [tokenizer.encode(text).ids for text in texts]
    longest = max(map(len, ids))
    return torch.tensor([row + [0] * (longest - len(row)) for row in ids])


def normalise(pixels):
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def pooled(features):
    return torch.nn.functional.normalize(getattr(features, "pooler_output", features), dim=-1)


def model_config(tokenizer):
    tower = dict(hidden_act="quick_gelu", projection_dim=64, hidden_size=64, intermediate_size=256, num_attention_heads=2)
    marks = dict(bos_token_id=tokenizer.token_to_id(START), eos_token_id=tokenizer.token_to_id(END), pad_token_id=0)
    return CLIPConfig(
        projection_dim=64,
        text_config=dict(
            tower, num_hidden_layers=2, vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=77, **marks
        ),
        vision_config=dict(tower, num_hidden_layers=4, image_size=64, patch_size=8),
    )


def train(model, tokenizer, pixels, texts, labels):
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, STEPS, pct_start=0.1)
    rng = np.random.default_rng(1)
    start = time.time()
    for step in range(STEPS):
        rows = rng.choice(len(pixels), BATCH, replace=False)
        ids = encode(tokenizer, [texts[row][rng.integers(4)] for row in rows])
        image = pooled(model.get_image_features(pixel_values=normalise(pixels[rows])))
        text = pooled(model.get_text_features(input_ids=ids))
        logits = model.logit_scale.exp().clamp(max=100) * text @ image.T
        # Captions of the same colour and shape describe each other's pictures: several answers are right.
        same = torch.tensor(labels[rows][:, None] == labels[rows][None, :]).float()
        target = same / same.sum(1, keepdim=True)
        loss = -(target * logits.log_softmax(1)).sum(1).mean() - (target * logits.T.log_softmax(1)).sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 0 or step == STEPS - 1:
            print(f"step {step}: loss {loss.item() / 2:.3f}, {time.time() - start:.0f} s", flush=True)


def save(model, tokenizer):
    OUT.mkdir(exist_ok=True)
    model.half().save_pretrained(OUT)
    tokenizer.save(str(OUT / "tokenizer.json"))
    marks = dict(bos_token=START, eos_token=END, unk_token=END, pad_token=END)
    settings = dict(tokenizer_class="CLIPTokenizerFast", model_max_length=77, **marks)
    (OUT / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    profile = dict(
        image_processor_type="CLIPImageProcessor", do_resize=True, size={"shortest_edge": 64}, resample=3,
        do_center_crop=True, crop_size={"height": 64, "width": 64}, do_rescale=True, rescale_factor=1 / 255,
        do_normalize=True, image_mean=MEAN, image_std=STD, do_convert_rgb=True,
    )
    (OUT / "preprocessor_config.json").write_text(json.dumps(profile, indent=2) + "\n")


@torch.no_grad()
def evaluate(tokenizer):
    """Figures of the data set, from the half-precision weights as they were saved."""
    model = CLIPModel.from_pretrained(OUT, dtype=torch.float32).eval()
    with open(FOLDER / "shapes.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    pixels = np.stack([np.asarray(Image.open(FOLDER / row["path"])) for row in rows])
    image = pooled(model.get_image_features(pixel_values=normalise(pixels)))
    text = pooled(model.get_text_features(input_ids=encode(tokenizer, [row["caption"] for row in rows])))
    labels = [row["label"] for row in rows]
    classes = sorted(set(labels))
    prompts = pooled(model.get_text_features(input_ids=encode(tokenizer, [f"a photo of {a(c)}" for c in classes])))
    zero_shot = np.mean([classes[i] == label for i, label in zip((image @ prompts.T).argmax(1), labels)])
    nearest = np.mean([labels[i] == label for i, label in zip((text @ image.T).argmax(1), labels)])
    rank = ((text @ image.T) > (text * image).sum(1, keepdim=True)).sum(1).numpy()
    print(f"parameters {sum(p.numel() for p in model.parameters())}; zero-shot accuracy of 24 classes {zero_shot:.3f}")
    print(f"text to image: right class {nearest:.3f}; the very picture first {(rank < 1).mean():.3f}, of ten {(rank < 10).mean():.3f}")


if __name__ == "__main__":
    torch.manual_seed(0)
    with Pool(2) as pool:
        drawn = pool.map(sample, range(HELD_OUT, HELD_OUT + PICTURES), chunksize=100)
    pixels, texts = np.stack([d[0] for d in drawn]), [d[1] for d in drawn]
    tokenizer = byte_pair_tokenizer(text for captions in texts for text in captions)
    model = CLIPModel(model_config(tokenizer))
    train(model, tokenizer, pixels, texts, np.unique([d[2] for d in drawn], return_inverse=True)[1])
    save(model, tokenizer)
    evaluate(tokenizer)
