"""A window model as tables: what of its first hidden layer is linear is worked out word by word.

    W x + b = sum over positions k of (W_k C(w_k) + b / (n - 1))       (concat; K tables V x H)
            = sum over positions of (W C(w_k) s + b / (n - 1))         (sum, mean; one table)

s is 1, under mean 1 / (n - 1). Layer norm that is read before the first layer acts on each word
vector alone and is folded in, the gate has tables of its own, and the rows of a tied model's output
layer are E P, P the projection. What comes after the first layer stays as it is. Devlin et al.
(2014, section 3.3) call it pre-computing the hidden layer.

fp16 rounds tables and rows. int8 keeps round(x / scale) in -127..127: of tables one scale a hidden
unit (the same at all positions, so that whole numbers can be summed), of rows one scale a word.
Shape suffixes: K positions or 1, V vocabulary, E word vectors, H hidden, D output rows.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from nplm_cli.artifacts import TensorFile, sha256_of_file, write_tensors
from nplm_cli.config import ModelConfig
from nplm_cli.errors import ArtifactError, ConfigError
from nplm_cli.query.layers import Shapes, Weights, layer_norm
from nplm_cli.query.run import Run

COMPILED = "compiled.safetensors"
DTYPES = {"fp32": np.float32, "fp16": np.float16, "int8": np.int8}
LEVELS = 127
# Most positions whose whole numbers sum up to one of 16 bits.
MAX_INT16 = 32_767 // LEVELS
SCALE = ".scale"


def compile_run(run: Run, path: Path, dtype: str) -> dict[str, int]:
    """Write the tables of a run to ``path``, atomically; returns bytes by kind of table.

    Raises ConfigError for a model that has none or a number format that cannot hold them.
    """
    require_compilable(run)
    if dtype not in DTYPES:
        raise ConfigError(f"--dtype {dtype!r}: expected {', '.join(DTYPES)}")
    config = run.config.model
    exact = exact_tables(run.weights, config)
    tensors: dict[str, np.ndarray] = {}
    for name, table in exact.items():
        tensors |= _stored(name, table, dtype)
    metadata = {"kind": "nplm compiled tables", "dtype": dtype, "model": fingerprint(run)}
    write_tensors(path, tensors, metadata)
    sizes = {"tables": 0, "rows": 0, "other": 0}
    for name, tensor in tensors.items():
        kind = name.removesuffix(SCALE)
        kind = {"first": "tables", "gates": "tables", "rows": "rows"}.get(kind, "other")
        sizes[kind] += tensor.nbytes
    return sizes


def require_compilable(run: Run) -> None:
    """Raise ConfigError, with the reason, for a model whose hidden layer is no sum of rows."""
    if run.mixture is not None:
        names = ", ".join(str(component.folder) for component in run.components)
        raise ConfigError(f"{run.folder} is a mixture: compile one of its components: {names}")
    config = run.config.model
    reason = None
    if not config.neural:
        reason = "counts are a table already: ask it as it is"
    elif config.arch != "ffn":
        reason = f"the hidden states of --arch {config.arch} depend on all words before, not on "
        reason += "one at each place: only window models (--arch ffn) have tables"
    elif config.far:
        reason = f"--far {config.far}: the words before the window are weighted by what they are, "
        reason += "beside each other: train with --far 0"
    elif not config.layers:
        reason = "--layers 0: a hidden layer is what tables save, and it has none: ask it as it is "
        reason += "(nplm score), or train with --layers 1"
    elif config.softmax == "adaptive":
        reason = "--softmax adaptive: a word's score is no single row: train with --softmax full"
    if reason is not None:
        raise ConfigError(f"{run.folder} cannot be compiled: {reason}")


def fingerprint(run: Run) -> str:
    """What tells these weights from others: the checksum that their file keeps, or is given."""
    return run.weights.metadata.get("sha256") or sha256_of_file(run.weights_path)


def exact_tables(weights: TensorFile | Weights, config: ModelConfig) -> dict[str, np.ndarray]:
    """Tables in fp32 by name: those of ``table_shapes``."""
    words_VE = weights["embedding.weight"]
    read_VE = words_VE
    if config.norm == "pre":
        scale, shift = (weights[f"encoder.norms.0.{part}"] for part in ("weight", "bias"))
        read_VE = layer_norm(words_VE, scale, shift, config.norm_eps)
    tables = {"first": _first(weights, config, "layers", read_VE)}
    if config.gate:
        tables["gates"] = _first(weights, config, "gates", read_VE)
    rows_VD = words_VE if config.tie else weights["output.weight"]
    if "encoder.projection.weight" in weights:
        rows_VD = rows_VD @ weights["encoder.projection.weight"]
    tables["rows"] = np.ascontiguousarray(rows_VD)
    if "output.bias" in weights:
        tables["bias"] = weights["output.bias"]
    if _adds_words(config):
        tables["words"] = words_VE
    for name in _later(config):
        tables[name] = weights[name]
    return tables


def _first(
    weights: TensorFile | Weights, config: ModelConfig, name: str, read_VE: np.ndarray
) -> np.ndarray:
    """Products (K, V, H) of all words with each position's block of the first layer."""
    window = config.order - 1
    weight = weights[f"encoder.{name}.0.weight"]
    positions = window if config.combine == "concat" else 1
    blocks = np.split(weight, positions, axis=1)
    table_KVH = np.stack([read_VE @ block.T for block in blocks])
    if config.combine == "mean":
        table_KVH /= np.float32(window)
    if config.hidden_bias:
        table_KVH += weights[f"encoder.{name}.0.bias"] / np.float32(window)
    return table_KVH


def _adds_words(config: ModelConfig) -> bool:
    """Whether the word vectors themselves are added to the first hidden layer."""
    positions = config.order - 1 if config.combine == "concat" else 1
    return config.residual and positions * config.dim == config.hidden


def _later(config: ModelConfig) -> Shapes:
    """Shapes of the tensors that are kept as they are, by their names in the model."""
    width = config.hidden
    shapes: Shapes = {}
    for layer in range(1, config.layers):
        for name in ("layers", "gates") if config.gate else ("layers",):
            shapes[f"encoder.{name}.{layer}.weight"] = (width, width)
            if config.hidden_bias:
                shapes[f"encoder.{name}.{layer}.bias"] = (width,)
    norms = {"pre": range(1, config.layers + config.residual), "post": range(config.layers)}
    for norm in norms.get(config.norm or "none", range(0)):
        shapes[f"encoder.norms.{norm}.weight"] = shapes[f"encoder.norms.{norm}.bias"] = (width,)
    return shapes


def table_shapes(config: ModelConfig, words: int, dtype: str) -> dict[str, tuple[type, tuple]]:
    """Number format and shape of every tensor of a compiled file, by name."""
    positions = config.order - 1 if config.combine == "concat" else 1
    kind = DTYPES[dtype]
    shapes: dict[str, tuple[type, tuple]] = {
        "first": (kind, (positions, words, config.hidden)),
        "rows": (kind, (words, config.hidden)),
    }
    if config.gate:
        shapes["gates"] = shapes["first"]
    if dtype == "int8":
        for name in list(shapes):
            length = words if name == "rows" else config.hidden
            shapes[name + SCALE] = (np.float32, (length,))
    if config.output_bias:
        shapes["bias"] = (np.float32, (words,))
    if _adds_words(config):
        shapes["words"] = (np.float32, (words, config.dim))
    return shapes | {name: (np.float32, shape) for name, shape in _later(config).items()}


def _stored(name: str, table: np.ndarray, dtype: str) -> dict[str, np.ndarray]:
    """A table in its number format, with its scales where it has them."""
    if not np.isfinite(table).all():
        raise ArtifactError(f"the weights hold nan, inf or numbers too large ({name}): train again")
    if name not in ("first", "gates", "rows") or dtype == "fp32":
        return {name: table}
    if dtype == "fp16":
        largest = float(np.abs(table).max())
        if largest > float(np.finfo(np.float16).max):
            raise ConfigError(f"--dtype fp16 cannot hold {largest:.3g} ({name}): take fp32")
        return {name: table.astype(np.float16)}
    largest_of: Callable[[np.ndarray], np.ndarray] = (
        (lambda x: x.max(axis=1)) if name == "rows" else (lambda x: x.max(axis=(0, 1)))
    )
    scale = (largest_of(np.abs(table)) / LEVELS).astype(np.float32)
    scale[scale == 0] = 1
    spread = scale[:, None] if name == "rows" else scale
    return {name: np.rint(table / spread).astype(np.int8), name + SCALE: scale}


def open_tables(run: Run, path: Path | None = None) -> TensorFile:
    """The compiled file of a run, checked: numbers, shapes, and that it is of these weights.

    Raises ArtifactError for one that is missing, damaged, or of other weights.
    """
    require_compilable(run)
    path = run.folder / COMPILED if path is None else path
    cure = f"nplm compile {run.folder}"
    if not path.exists():
        raise ArtifactError(f"{path}: no such file: make it with {cure}")
    file = TensorFile(path)
    dtype = file.metadata.get("dtype", "")
    if dtype not in DTYPES:
        raise ArtifactError(f"{path}: dtype {dtype!r:.40}: not a file of nplm compile; {cure}")
    expected = table_shapes(run.config.model, len(run.vocabulary), dtype)
    for name in sorted(set(expected) | set(file.keys())):
        found = (file.dtype(name), file.shape(name)) if name in file else None
        wanted = expected.get(name)
        if found is None or wanted is None or found != (np.dtype(wanted[0]), wanted[1]):
            raise ArtifactError(
                f"{path}: {name} is {_shown(found)}, config.json and vocabulary.tsv ask for "
                f"{_shown(wanted)}: not the tables of this run; {cure}"
            )
    if file.metadata.get("model") != fingerprint(run):
        raise ArtifactError(f"{path}: made of other weights than model.safetensors: {cure}")
    return file


def _shown(entry: tuple | None) -> str:
    return "missing" if entry is None else f"{np.dtype(entry[0]).name} of shape {entry[1]}"
