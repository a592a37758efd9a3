"""What an n-gram model says about itself."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from nplm_cli.errors import ArtifactError, ConfigError
from nplm_cli.ngram.counting import ContextPolicy

Smoothing = Literal["kn", "mle", "addk"]
MAX_ORDER = 512


@dataclass(frozen=True, kw_only=True)
class Description:
    """Settings of an n-gram model, checked when built (ConfigError), and notes on its training.

    ``notes`` tells what a report should say: tokens left out, fallback discounts.
    """

    order: int
    vocab_size: int
    smoothing: Smoothing = "kn"
    k: float = 1.0
    context: ContextPolicy = "sentence"
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Check every setting."""
        if not 1 <= self.order <= MAX_ORDER:
            raise ConfigError(f"order {self.order}: expected 1 to {MAX_ORDER}")
        if not 2 <= self.vocab_size < 2**32:  # the two specials at least; keys fit into 64 bits
            raise ConfigError(f"vocabulary of {self.vocab_size} words: expected 2 to {2**32 - 1}")
        if self.smoothing not in get_args(Smoothing):
            raise ConfigError(f"smoothing {self.smoothing!r}: expected kn, mle or addk")
        if not (self.k > 0 and math.isfinite(self.k)):
            raise ConfigError(f"k {self.k}: expected a number above 0")
        if self.context not in get_args(ContextPolicy):
            raise ConfigError(f"context {self.context!r}: expected sentence or stream")

    def metadata(self) -> dict[str, str]:
        """The description as text to text, for the header of a tensor file."""
        return {
            "kind": "ngram",
            "order": str(self.order),
            "vocab_size": str(self.vocab_size),
            "smoothing": self.smoothing,
            "k": repr(self.k),
            "context": self.context,
            "notes": json.dumps(self.notes, ensure_ascii=False),
        }


def from_metadata(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Read the fields of a ``Description``; ArtifactError for what ``metadata`` does not write."""
    if metadata.get("kind") != "ngram":
        raise ArtifactError(
            f"kind {metadata.get('kind')!r}: expected the tensors of an n-gram model"
        )
    try:
        fields = {
            "order": int(metadata["order"]),
            "vocab_size": int(metadata["vocab_size"]),
            "smoothing": metadata["smoothing"],
            "k": float(metadata["k"]),
            "context": metadata["context"],
            "notes": json.loads(metadata["notes"]),
        }
        Description(**fields)
        if not (isinstance(fields["notes"], list) and all(type(n) is str for n in fields["notes"])):
            raise ConfigError("notes: expected a list of texts")
    except KeyError as error:
        raise ArtifactError(f"n-gram model without {error}: corrupt") from error
    except (ConfigError, TypeError, ValueError, RecursionError) as error:
        raise ArtifactError(f"n-gram model: {error}: corrupt") from error
    return fields
