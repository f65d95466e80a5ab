internal import Checkpoints
internal import Decoder
internal import Formats
internal import Surgery
internal import TestSupport
internal import Tokenization

/// The inputs as files, which the readers open as they open any other.
private let folder = TemporaryFolder()

/// The folder of a model whose files can be replaced one by one.
private let model: String = {
    let path = folder.makeFolder("model")
    for name in Files.names(Fixture.path("tiny/llama3")) {
        Files.write(path + "/" + name, Files.read(Fixture.path("tiny/llama3/" + name)))
    }
    let tokenizer = Fixture.root + "/Tests/Fuzzing/corpora/tokenizer/llama-bpe.json"
    Files.write(path + "/tokenizer.json", Files.read(tokenizer))
    return path
}()

/// The whole file is a safetensors file.
@Sendable func fuzzSafetensors(_ bytes: UnsafeRawBufferPointer) {
    open(folder.write("x.safetensors", Array(bytes)))
}

/// The whole file is a GGUF file.
@Sendable func fuzzGGUF(_ bytes: UnsafeRawBufferPointer) {
    open(folder.write("x.gguf", Array(bytes)))
}

/// The whole file is a PyTorch file, zipped or older.
@Sendable func fuzzPyTorch(_ bytes: UnsafeRawBufferPointer) {
    open(folder.write("x.bin", Array(bytes)))
}

/// The input is the pickle of a zipped PyTorch file, whose checksum is made right.
@Sendable func fuzzPickle(_ bytes: UnsafeRawBufferPointer) {
    open(folder.write("x.bin", ZipBytes(pickle: Array(bytes), storages: []).bytes))
}

/// The whole file is an archive, whose checksums are made right.
@Sendable func fuzzArchive(_ bytes: UnsafeRawBufferPointer) {
    open(folder.write("x.resect", ArchiveRepair.repaired(Array(bytes))))
}

/// The whole file is an importance matrix in either form, of the model or of another one.
@Sendable func fuzzImportance(_ bytes: UnsafeRawBufferPointer) {
    tolerate { () throws(CheckpointError) in
        let matrix = try ImportanceMatrix(path: folder.write("x.imatrix", Array(bytes)))
        for layer in 0..<2 {
            for suffix in ["attn_q.weight", "ffn_up_exps.weight"] {
                guard let entry = matrix.entry("blk.\(layer).\(suffix)") else { continue }
                let weights = entry.weights(0..<entry.count)
                precondition(weights.allSatisfy { $0 >= 0 && $0.isFinite })
            }
        }
        guard let mixture = Mixture.named("Q4_0") else { preconditionFailure("Q4_0 is not known") }
        var settings = Quantize.Settings(mixture)
        for dropped in [0..<0, 1..<3] {
            settings.importance = Importance(matrix, dropped: dropped)
            let quantize = Quantize(settings)
            tolerate { () throws(CheckpointError) in
                let plan = try OutputPlan(quantize.apply(to: weighted))
                precondition(plan.byteCount > 0)
            }
        }
    }
}

/// A model of two layers with a matrix and some experts.
private let weighted: Checkpoint = {
    do throws(CheckpointError) {
        var checkpoint = try Checkpoint.open(Fixture.root + "/Tests/Fuzzing/corpora/gguf/llama.gguf")
        let zeros = Recipe.computed(Zeros())
        checkpoint.tensors = (0..<2).flatMap { layer in
            [
                Tensor(name: "blk.\(layer).attn_q.weight", dtype: .f32, shape: [4, 32], recipe: zeros),
                Tensor(name: "blk.\(layer).ffn_up_exps.weight", dtype: .f32, shape: [3, 4, 32], recipe: zeros),
            ]
        }
        return checkpoint
    } catch {
        preconditionFailure(error.description)
    }
}()

private struct Zeros: RowSource {
    var description: String { "zeros" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        output.initializeMemory(as: UInt8.self, repeating: 0)
    }
}

/// The input is the config.json of a model that is right otherwise.
@Sendable func fuzzConfig(_ bytes: UnsafeRawBufferPointer) {
    Files.write(model + "/config.json", Array(bytes))
    open(model)
}

/// The input is the tokenizer.json of a model that is right otherwise.
@Sendable func fuzzTokenizer(_ bytes: UnsafeRawBufferPointer) {
    tolerate { () throws(CheckpointError) in
        var checkpoint = try Checkpoint.open(model)
        checkpoint.companions.removeAll { $0.name == "tokenizer.json" }
        checkpoint.companions.append(.init(name: "tokenizer.json", contents: Array(bytes)))
        try tokenize(checkpoint)
    }
}

/// The input is the tokenizer.model of a folder that has no tokenizer.json.
@Sendable func fuzzSentencePiece(_ bytes: UnsafeRawBufferPointer) {
    tolerate { () throws(CheckpointError) in
        var checkpoint = try Checkpoint.open(model)
        checkpoint.companions = [.init(name: "tokenizer.model", contents: Array(bytes))]
        try tokenize(checkpoint)
    }
}

/// The input is the index of a folder with one file of weights.
@Sendable func fuzzIndex(_ bytes: UnsafeRawBufferPointer) {
    let path = model + "/model.safetensors.index.json"
    Files.write(path, Array(bytes))
    open(path)
}

/// Opens a checkpoint and asks everything of it that costs no more than its header.
private func open(_ path: String) {
    tolerate { () throws(CheckpointError) in
        let checkpoint = try Checkpoint.open(path)
        for tensor in checkpoint.tensors where tensor.rowCount > 0 {
            // The first and the last row: what lies outside the file would not be read.
            for row in [0, tensor.rowCount - 1] {
                try tensor.withBytes(rows: row..<row + 1) { bytes in
                    precondition(bytes.count == tensor.rowByteCount && bytes.first != nil && bytes.last != nil)
                }
            }
        }
        tolerate { () throws(CheckpointError) in try checkpoint.checkConsistency() }
        tolerate { () throws(CheckpointError) in try tokenize(checkpoint) }
        tolerate { () throws(CheckpointError) in _ = try DecoderModel(checkpoint) }
        for edits in edits {
            tolerate { () throws(CheckpointError) in
                let result = try checkpoint.applying(edits)
                let plan = try OutputPlan(result)
                precondition(plan.byteCount >= 0)
            }
        }
    }
}

/// Edits of every kind; nothing of them is written.
private let edits: [[any Edit]] = {
    guard let mixture = Mixture.named("Q4_K_M") else { preconditionFailure("Q4_K_M is not known") }
    return [
        [CutLayers(layers: 0..<1)], [Convert(to: .gguf), Quantize(mixture)], [Convert(to: .folder), Cast(to: .f16)],
        [Convert(to: .safetensors)],
    ]
}()

/// Makes the tokenizer and cuts a text with it.
private func tokenize(_ checkpoint: Checkpoint) throws(CheckpointError) {
    let vocabulary = try Vocabulary(checkpoint: checkpoint)
    tolerate { () throws(CheckpointError) in _ = try vocabulary.folderFiles() }
    tolerate { () throws(CheckpointError) in _ = try vocabulary.ggufPairs(vocabularySize: vocabulary.tokens.count) }
    let text = "In the beginning God created\n\n the heaven's 12345 <s>e\u{301}\u{65E5}\u{672C} <|x|>  </s>\u{0}"
    let ids = try Tokenizer(vocabulary).encode(text)
    precondition(ids.allSatisfy { $0 >= 0 })
}
