internal import Checkpoints
internal import Formats
internal import Surgery
internal import TestSupport

/// The inputs as files, which are read as any other.
private let folder = TemporaryFolder()

private let corpora = Fixture.root + "/Tests/Fuzzing/corpora/"

/// The base of all adapters.
private let base: Checkpoint = {
    do throws(CheckpointError) {
        return try Checkpoint.open(Fixture.path("tiny/llama3"))
    } catch {
        preconditionFailure(error.description)
    }
}()

/// A folder with the weights of PEFT and of mlx-lm; which of them are read depends on the settings.
private let trained: String = {
    let path = folder.makeFolder("trained")
    for (name, file) in [("adapter_model.safetensors", "adapter/linear"), ("adapters.safetensors", "mlxadapter/lora")] {
        Files.write(path + "/" + name, Files.read(corpora + file + ".safetensors"))
    }
    return path
}()

/// The input is the adapter_config.json of an adapter of PEFT or of mlx-lm.
@Sendable func fuzzAdapterConfig(_ bytes: UnsafeRawBufferPointer) {
    Files.write(trained + "/adapter_config.json", Array(bytes))
    merge(trained)
}

/// The input is the weights of PEFT; the settings follow which kinds of tensors are named.
@Sendable func fuzzAdapter(_ bytes: UnsafeRawBufferPointer) {
    let text = String(decoding: bytes.prefix(1 << 14), as: UTF8.self)
    let config =
        #"{"peft_type":"LORA","r":1,"lora_alpha":2,"bias":"all","target_modules":["q_proj","down_proj","embed_tokens"],"#
        + #""modules_to_save":[\#(text.contains("norm.weight") ? "\"norm\"" : "")],"trainable_token_indices":"#
        + #"\#(text.contains("token_adapter") ? "[3,9]" : "null"),"use_dora":\#(text.contains("magnitude")),"#
        + #""lora_bias":\#(text.contains("lora_B.bias"))}"#
    let path = adapter("peft", "adapter_model.safetensors", bytes, config)
    merge(path)
    tolerate { () throws(CheckpointError) in
        try plan(ConvertAdapter(to: .gguf, base: base).apply(to: Checkpoint.open(path)))
    }
}

/// The input is the weights of mlx-lm.
@Sendable func fuzzMLXAdapter(_ bytes: UnsafeRawBufferPointer) {
    let isDoRA = String(decoding: bytes.prefix(1 << 14), as: UTF8.self).contains(".m\"")
    merge(
        adapter(
            "mlx", "adapters.safetensors", bytes,
            #"{"fine_tune_type":"\#(isDoRA ? "dora" : "lora")","num_layers":2,"lora_parameters":{"rank":1,"scale":2.0}}"#
        ))
}

/// The input is an adapter of llama.cpp.
@Sendable func fuzzGGUFAdapter(_ bytes: UnsafeRawBufferPointer) {
    let path = folder.write("x.gguf", Array(bytes))
    merge(path)
    tolerate { () throws(CheckpointError) in
        try plan(ConvertAdapter(to: .folder, base: base).apply(to: Checkpoint.open(path)))
    }
}

/// A folder with one file of weights and its settings.
private func adapter(_ name: String, _ file: String, _ bytes: UnsafeRawBufferPointer, _ config: String) -> String {
    let path = folder(name)
    if !folder.names.contains(name) { folder.makeFolder(name) }
    Files.write(path + "/" + file, Array(bytes))
    Files.write(path + "/adapter_config.json", Array(config.utf8))
    return path
}

/// Merges an adapter as it is and as one of the model before a cut, reads the changed weights, and cuts it.
private func merge(_ path: String) {
    let dropped = LayerRuns([1..<2])
    for numbering in [nil, AdapterNumbering(dropped: dropped, left: base.layerCount, kind: .original)] {
        tolerate { () throws(CheckpointError) in
            let adapter = MergeAdapters.Weighted(try Adapter(path: path, numbering: numbering))
            let merged = try MergeAdapters([adapter]).apply(to: base)
            try plan(merged)
            for tensor in merged.tensors {
                guard case .computed = tensor.recipe else { continue }
                try tensor.withBytes(rows: tensor.rowCount - 1..<tensor.rowCount) { bytes in
                    precondition(bytes.count == tensor.rowByteCount)
                }
            }
        }
    }
    tolerate { () throws(CheckpointError) in
        try plan(CutLayers(layers: dropped).apply(to: Checkpoint.open(path)))
    }
}

/// Lays an output out; nothing is written.
private func plan(_ checkpoint: Checkpoint) throws(CheckpointError) {
    let plan = try OutputPlan(checkpoint)
    precondition(plan.byteCount > 0)
}
