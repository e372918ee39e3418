"""What fuzzers start from: small sound files of every kind, in `tests/fuzz/seeds`.

    pip install numpy pillow pyarrow safetensors
    python tests/fuzz/make_seeds.py VMFMIX

where VMFMIX is a built program. The first byte of most files chooses the format, as `readers.rs` tells.
"""

import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import csv, feather, parquet
from safetensors.numpy import save

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent
TINY = PROJECT / "datasets" / "tiny-clip"
SIGLIP = PROJECT / "tests" / "fixtures" / "siglip"
SENTENCE = PROJECT / "tests" / "fixtures" / "sentence"
PICKLES = PROJECT / "tests" / "fixtures" / "pickles"


def seed(reader, name, data, kind=None):
    folder = HERE / "seeds" / reader
    folder.mkdir(parents=True, exist_ok=True)
    first = b"" if kind is None else bytes([kind])
    (folder / name).write_bytes(first + data)


def pictures():
    gradient = np.arange(9 * 7 * 4, dtype=np.uint8).reshape(7, 9, 4)
    colour = Image.fromarray(gradient[:, :, :3])
    modes = dict(
        rgb=colour,
        alpha=Image.fromarray(gradient),
        grey=colour.convert("L"),
        palette=colour.convert("P"),
        deep=Image.fromarray(gradient[:, :, 0].astype(np.uint16) * 257),
        cmyk=colour.convert("CMYK"),
    )
    kinds = dict(
        png=["rgb", "alpha", "grey", "palette", "deep"],
        jpeg=["rgb", "grey", "cmyk"],
        gif=["palette"],
        webp=["rgb", "alpha"],
        bmp=["rgb", "palette"],
        tiff=["rgb", "deep", "cmyk"],
    )
    for kind, names in kinds.items():
        for name in names:
            out = io.BytesIO()
            modes[name].save(out, kind)
            seed("picture", f"{name}.{kind}", out.getvalue())
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, options in dict(
        progressive=dict(progressive=True),
        turned=dict(exif=exif),
        halved=dict(subsampling=2, restart_marker_rows=1),
    ).items():
        out = io.BytesIO()
        colour.save(out, "jpeg", **options)
        seed("picture", f"{name}.jpeg", out.getvalue())
    out = io.BytesIO()
    colour.save(out, "gif", save_all=True, append_images=[colour.rotate(90)])
    seed("picture", "moving.gif", out.getvalue())
    for name, options in dict(lzw="tiff_lzw", deflate="tiff_deflate", packed="packbits").items():
        out = io.BytesIO()
        colour.save(out, "tiff", compression=options)
        seed("picture", f"{name}.tiff", out.getvalue())


def models():
    tensors = {
        "vision_model.embeddings.class_embedding": np.arange(4, dtype=np.float32),
        "text_model.embeddings.token_embedding.weight": np.ones((2, 3), dtype=np.float16),
        "logit_scale": np.full((), 4.6, dtype=np.float32),
    }
    seed("checkpoint", "few.safetensors", save(tensors), 0)
    seed("checkpoint", "siglip.safetensors", (SIGLIP / "model.safetensors").read_bytes(), 0)
    seed("checkpoint", "whole.bin", (PICKLES / "whole.bin").read_bytes(), 1)
    seed("checkpoint", "distilbert.bin", (SENTENCE / "distilbert" / "pytorch_model.bin").read_bytes(), 1)
    for name in ["whole.bin", "inside.pt", "code.bin"]:
        with zipfile.ZipFile(PICKLES / name) as archive:
            program = next(entry for entry in archive.namelist() if entry.endswith("data.pkl"))
            seed("checkpoint", f"{name}.pkl", archive.read(program), 2)
    bert = SENTENCE / "bert"
    open_clip = b'{"model_cfg": {"embed_dim": 8, "vision_cfg": {"image_size": 8, "layers": 1, "width": 8, "patch_size": 4}, "text_cfg": {"context_length": 8, "vocab_size": 16, "width": 8, "heads": 2, "layers": 1}}}'
    index = b'{"metadata": {"total_size": 12}, "weight_map": {"logit_scale": "model-00001-of-00001.safetensors"}}'
    files = [
        (TINY / "config.json").read_bytes(),
        (TINY / "preprocessor_config.json").read_bytes(),
        open_clip,
        index,
        (SIGLIP / "config.json").read_bytes(),
        (SIGLIP / "preprocessor_config.json").read_bytes(),
        (SIGLIP / "tokenizer_config.json").read_bytes(),
        (bert / "config.json").read_bytes(),
        (bert / "modules.json").read_bytes(),
        (bert / "1_Pooling" / "config.json").read_bytes(),
        (bert / "sentence_bert_config.json").read_bytes(),
        (bert / "tokenizer_config.json").read_bytes(),
    ]
    for kind, data in enumerate(files):
        seed("config", f"{kind:02}.json", data, kind)
    files = [TINY / "tokenizer.json", SIGLIP / "tokenizer.json", bert / "tokenizer.json"]
    for kind, path in enumerate([*files, SENTENCE / "mpnet" / "vocab.txt"]):
        seed("tokenizer", f"{kind:02}.{path.name}", path.read_bytes(), kind)


def tables():
    table = pa.table({"caption": ["a", "b, \"c\"", None], "number": [1, -2, 3], "share": [0.5, None, float("nan")]})
    for kind, (name, write) in enumerate(
        dict(
            csv=lambda path: csv.write_csv(table, path),
            tsv=lambda path: csv.write_csv(table, path, csv.WriteOptions(delimiter="\t")),
            jsonl=lambda path: path.write_text('{"a": 1, "b": [1.5, null]}\n{"a": null, "b": []}\n'),
            parquet=lambda path: parquet.write_table(table, path),
            arrow=lambda path: feather.write_feather(table, path, compression="uncompressed"),
            txt=lambda path: path.write_text("one\n\ntwo\r\n\u00e9\n"),
        ).items()
    ):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"table.{name}"
            write(path)
            seed("table", f"plain.{name}", path.read_bytes(), kind)
    out = io.BytesIO()
    vectors = pa.FixedSizeListArray.from_arrays(pa.array([0.6, 0.8, 1.0, 0.0], pa.float32()), 2)
    parquet.write_table(pa.table({"embedding": vectors}), out)
    seed("table", "vectors.parquet", out.getvalue(), 3)
    out = io.BytesIO()
    parquet.write_table(pa.table({"embedding": [[0.6, 0.8], None]}), out, compression="none", use_dictionary=False)
    seed("table", "lists.parquet", out.getvalue(), 3)
    matrix = np.arange(12).reshape(4, 3)
    for name, array in dict(
        single=matrix.astype("<f4"),
        double=np.asfortranarray(matrix.astype("<f8")),
        half=matrix.astype(">f2"),
        whole=matrix,
    ).items():
        out = io.BytesIO()
        np.save(out, array)
        seed("npy", f"{name}.npy", out.getvalue())


def mixtures(program):
    with tempfile.TemporaryDirectory() as folder:
        run = lambda *arguments: subprocess.run([program, *arguments], cwd=folder, check=True)
        run("sample", "-q", "-n", "12", "--dim", "3", "-k", "2", "-o", "points.npy")
        run("fit", "-q", "--embeddings", "points.npy", "-k", "2", "--output-dir", "out")
        for name in ["model_parameters.json", "report.json"]:
            seed("model", name, (Path(folder) / "out" / name).read_bytes())


def arguments():
    for name, words in dict(
        fit="--n_components 3 --tolerance 1e-4 --test-split 0.1 --prior 5:0.4 --annealing 0.1:20",
        sweep="sweep --select 2..6 --criterion held-out --embeddings x.npy --concentration tied",
        embed="embed --text-file t.txt -o x.parquet --device cuda:1 --precision f16 --batch-size 8",
        sample="sample --concentrations 1,2.5e3 -n 5 --dim 3 -o x.npy",
        starts="--init-method means=m.npy --empty-component drop --prompt-template {}",
    ).items():
        seed("arguments", name, words.replace(" ", "\0").encode())


if __name__ == "__main__":
    pictures()
    models()
    tables()
    mixtures(str(Path(sys.argv[1]).resolve()))
    arguments()
