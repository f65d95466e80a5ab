"""Importance matrices made and changed by gguf-py."""

import gguf
import numpy as np

KEYS = ("imatrix.datasets", "imatrix.chunk_count", "imatrix.chunk_size")


def write(path, entries, dataset="random", chunks=1):
    """Writes the GGUF form; `entries` are `{tensor: (sums, counts)}`, with a row of sums for every matrix."""
    writer = gguf.GGUFWriter(path, "imatrix")
    writer.add_type("imatrix")
    writer.add_array(KEYS[0], [dataset])
    writer.add_uint32(KEYS[1], chunks)
    writer.add_uint32(KEYS[2], 512)
    for name, (sums, counts) in entries.items():
        writer.add_tensor(f"{name}.in_sum2", np.ascontiguousarray(sums, np.float32))
        writer.add_tensor(f"{name}.counts", np.ascontiguousarray(counts, np.float32).reshape(-1, 1))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read(path):
    """The entries of a file in the GGUF form."""
    tensors = {tensor.name: np.array(tensor.data) for tensor in gguf.GGUFReader(path).tensors}
    return {name[:-len(".in_sum2")]: (sums, tensors[name[:-len("in_sum2")] + "counts"])
            for name, sums in tensors.items() if name.endswith(".in_sum2")}
