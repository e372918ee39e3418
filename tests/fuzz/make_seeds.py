"""What fuzzers start from: small sound files of every kind, in `tests/fuzz/seeds`; and what once went wrong, named for it, in
`tests/fuzz/found`.

    pip install numpy pillow pyarrow safetensors
    python tests/fuzz/make_seeds.py VMFMIX

where VMFMIX is a built program. The first byte of most files chooses the format, as `readers.rs` tells.
"""

import io
import json
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


def seed(reader, name, data, kind=None, among="seeds"):
    folder = HERE / among / reader
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


def found():
    """Files that made the program panic, hang, or take all memory."""

    def bad(reader, name, data, kind=None):
        seed(reader, name, data, kind, among="found")

    # Copied at each level, these are 2^34 values; freed by recursion, 100,000 levels exhaust the stack.
    bad("checkpoint", "values-that-double.pkl", b"]q\0" + b"h\0h\0\x86q\0" * 34 + b".", 2)
    bad("checkpoint", "tuples-in-tuples.pkl", b")" + b"\x85" * 60_000 + b".", 2)
    name = b"a" * 40_000 + b"Storage"
    names = b"X\x05\0\0\0torchq\0X" + len(name).to_bytes(4, "little") + name + b"q\x01"
    bad("checkpoint", "a-long-name-again-and-again.pkl", names + b"h\0h\x01\x93" * 5000 + b".", 2)
    header = b'{"a": {"dtype": "F32", "shape": [4611686018427387904, 4], "data_offsets": [0, 0]}}'
    bad("checkpoint", "a-shape-that-overflows.safetensors", len(header).to_bytes(8, "little") + header, 0)
    model = dict(n_components=2, dimension=3, weights=[0.5, 0.5], mean_directions=[[1, 0, 0], [0, 1, 0]], concentrations=[10, 20])
    model["convergence"] = dict(converged=True, n_iterations=1, log_likelihoods=[-1.0], warnings=[])
    for name, change in {
        "a-dimension-of-10^15": dict(dimension=10**15),
        "a-dimension-of-2^62": dict(dimension=2**62),
        "no-components": dict(n_components=0, weights=[1.0], mean_directions=[], concentrations=[]),
        "a-concentration-of-10^308": dict(concentrations=[1e308, 10]),
    }.items():
        bad("model", f"{name}.json", json.dumps(model | change).encode())
    report = json.loads((HERE / "seeds" / "model" / "report.json").read_text())
    bad("model", "a-report-without-components.json", json.dumps(report | dict(components=[])).encode())
    bad("model", "a-component-that-is-not-there.json", json.dumps(report | dict(by_weight=[2**40, 0])).encode())
    for name, header in {
        "lists-in-lists.npy": b"{'descr': " + b"[" * 30 + b"'<f4'" + b"]" * 30 + b", 'fortran_order': False, 'shape': (1, 1), }\n",
        "rows-of-10^18.npy": b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000000, 3), }\n",
    }.items():
        bad("npy", name, b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header)
    bad("table", "objects-in-objects.jsonl", b'{"a":' * 3000 + b"1" + b"}" * 3000 + b"\n", 2)
    bad("table", "lists-in-lists.jsonl", b"[" * 60_000 + b"\n", 2)
    bert = json.loads((SENTENCE / "bert" / "tokenizer.json").read_text())
    for name, change in {
        "texts-ten-times-longer-nine-times.json": dict(
            normalizer=dict(type="Sequence", normalizers=[dict(type="Replace", pattern=dict(String="a"), content="a" * 10)] * 9)
        ),
        "an-empty-prefix.json": dict(normalizer=dict(type="Prepend", prepend="")),
        "a-special-token-that-is-not-there.json": dict(
            post_processor=dict(
                type="TemplateProcessing",
                single=[dict(SpecialToken=dict(id="[NO]", type_id=0)), dict(Sequence=dict(id="A", type_id=0))],
                pair=[],
                special_tokens={},
            )
        ),
    }.items():
        bad("tokenizer", name, json.dumps(bert | change).encode(), 2)
    out = io.BytesIO()
    Image.fromarray(np.zeros((64, 64), dtype=np.uint8)).save(out, "jpeg", progressive=True)
    picture = out.getvalue()
    scan = picture[picture.rindex(b"\xff\xda") : -2]
    bad("picture", "a-thousand-scans.jpeg", picture[:-2] + scan * 1000 + picture[-2:])
    bad("picture", "a-gif-of-13000-x-13000.gif", b"GIF89a\xc8\x32\xc8\x32\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\xc8\x32\xc8\x32\0\x02\0;")


if __name__ == "__main__":
    pictures()
    models()
    tables()
    mixtures(str(Path(sys.argv[1]).resolve()))
    arguments()
    found()
