"""Embeds 200 varied sentences with Python sentence-transformers, and times it: two threads, batches of 32.

    python reference.py MODEL_FOLDER OUTPUT.json
"""

import json
import sys
import time

import torch
from sentence_transformers import SentenceTransformer

REPEATS = 5
SUBJECTS = ["A red circle", "The old harbour", "My neighbour's dog", "A proof by induction", "Der Zug nach Köln"]
VERBS = ["rests beside", "is mistaken for", "never quite reaches", "reminds everyone of"]
OBJECTS = ["the blue star.", "a small café in Århus", "three hundred and twelve unread letters;", "its own shadow!", "北京的夏天"]
TAILS = ["", " Nobody minded, because it had rained for weeks and the roof was leaking again. " * 3]
ODD = ["", " ", "🔴 👩‍👩‍👧‍👦", "x" * 400, "a long story " * 300, "[SEP] and [MASK]", "1e-10, 3.14 & 42%", "ÇA VA? e\u0301 é"]


def sentences():
    all_texts = [f"{s} {v} {o}{t}" for s in SUBJECTS for v in VERBS for o in OBJECTS for t in TAILS]
    return (ODD + all_texts)[:200]


def main():
    folder, output = sys.argv[1:]
    torch.set_num_threads(2)
    model = SentenceTransformer(folder, device="cpu", model_kwargs={"dtype": torch.float32})
    texts = sentences()
    embeddings = model.encode(texts, batch_size=32, normalize_embeddings=True)
    start = time.perf_counter()
    model.encode(texts * REPEATS, batch_size=32, normalize_embeddings=True)
    speed = len(texts) * REPEATS / (time.perf_counter() - start)
    with open(output, "w") as file:
        json.dump(
            {"texts": texts, "embeddings": embeddings.tolist(), "repeats": REPEATS, "sentences_per_second": speed}, file
        )


if __name__ == "__main__":
    main()
