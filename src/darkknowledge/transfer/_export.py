"""A transfer set as one Parquet file, for pandas, DuckDB and Hugging Face."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from darkknowledge.errors import UsageError
from darkknowledge.runs.files import write_file
from darkknowledge.transfer._identity import Identity
from darkknowledge.transfer._output import members_of
from darkknowledge.transfer._statistics import chunks
from darkknowledge.transfer._transfer_set import TransferSet


def export(path: str | os.PathLike[str], out: str | os.PathLike[str], *, temperature: float | None = None) -> Path:
    """Write the set in the folder ``path`` as the Parquet file ``out``: columns ``id``, ``view``, ``label`` (null where unknown) and ``logits``.

    ``logits`` is a list of C float32; several members have ``logits_0``, ``logits_1`` and so on. Class names and identity stand in the metadata of
    the schema. The logits of a top-k set are those at ``temperature``, by default its first declared one; other sets ignore it.

    Raises:
        UsageError: ``out`` exists, or there is no set.
        IntegrityError: the set is not finished, or damaged.
        ResourceError: the file can't be written.
    """
    found, target = TransferSet.open(path), Path(out)
    if os.path.lexists(target):
        raise UsageError(f"{target} exists", where=str(target), why="an export never replaces a file", fix="choose another name, or remove it")
    if temperature is None:
        temperature = found.temperatures[0] if found.temperatures else 1.0
    found.captured_mass(temperature)
    found.require_whole()
    schema = _schema(found.identity, temperature)

    def write(file: BinaryIO) -> None:
        with pq.ParquetWriter(file, schema) as writer:
            for shard in found.shards:
                for keys, labels, answers in chunks(shard, found.identity):
                    writer.write_batch(_batch(schema, keys, labels, answers, found.identity, temperature))

    write_file(target, write)
    return target


def _batch(schema: Any, keys: Tensor, labels: Tensor, answers: Tensor, identity: Identity, temperature: float) -> Any:
    split = answers.view(len(answers), identity.members, -1)
    columns: list[Any] = [pa.array((keys // identity.views).numpy()), pa.array((keys % identity.views).to(torch.int32).numpy())]
    columns.append(pa.array(labels.numpy(), mask=(labels < 0).numpy()))
    for member in members_of(split, identity.codec, temperature=temperature):
        columns.append(pa.FixedSizeListArray.from_arrays(pa.array(member.reshape(-1).numpy()), type=schema.field(len(columns)).type))
    return pa.record_batch(columns, schema=schema)


def _schema(identity: Identity, temperature: float) -> Any:
    logits = pa.list_(pa.float32(), len(identity.class_names))
    names = ["logits"] if identity.members == 1 else [f"logits_{member}" for member in range(identity.members)]
    facts: dict[str, Any] = {"class_names": list(identity.class_names), "identity": identity.to_dict()}
    if identity.codec.temperatures:
        facts["temperature"] = temperature
    fields = [("id", pa.int64()), ("view", pa.int32()), ("label", pa.int64()), *((name, logits) for name in names)]
    return pa.schema(fields, metadata={f"darkknowledge.{name}": json.dumps(value) for name, value in facts.items()})
