import Checkpoints
import Formats
import TestSupport
import Testing

/// Checkpoints that were never written, made from the fixture by putting other things in its place.
enum Models {
    /// Rows of zeros, for models whose values do not matter.
    struct Zeros: RowSource {
        var description: String { "zeros" }

        func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
            output.initializeMemory(as: UInt8.self, repeating: 0)
        }
    }

    static func fixture() throws -> Checkpoint { try Checkpoint.open(Fixture.model) }

    static func zeros(_ name: String, _ shape: [Int], _ dtype: DType = .f16) -> Tensor {
        Tensor(name: name, dtype: dtype, shape: shape, recipe: .computed(Zeros()))
    }

    /// A folder with a tensor for each layer and one outside, and a configuration.
    static func folder(layers: Int, config: String) throws -> Checkpoint {
        var checkpoint = try fixture()
        checkpoint.architecture = nil
        checkpoint.config = try JSON.parse(config).object
        checkpoint.tensors = [zeros("embed", [4, 4])] + (0..<layers).map { zeros("m.layers.\($0).w", [4, 4]) }
        return checkpoint
    }

    /// The same with the number of layers in the configuration, unless it counts them already.
    static func counted(layers: Int, config: String) throws -> Checkpoint {
        var checkpoint = try folder(layers: layers, config: config)
        let keys = LayerSettings.known.counts.keys
        let text = checkpoint.config?["text_config"]
        if !keys.contains(where: { checkpoint.config?[$0] != nil || text?[$0] != nil }) {
            checkpoint.config?["num_hidden_layers"] = .int(layers)
        }
        return checkpoint
    }

    /// A folder with tensors of these names, and a configuration.
    static func named(_ names: [String], config: String) throws -> Checkpoint {
        var checkpoint = try folder(layers: 0, config: config)
        checkpoint.tensors = names.map { zeros($0, [4, 4]) }
        return checkpoint
    }

    /// A GGUF checkpoint with a tensor for each layer, and pairs under the architecture's prefix.
    static func gguf(_ architecture: String, layers: Int, _ pairs: [(String, GGUFValue)] = []) throws -> Checkpoint {
        var checkpoint = try fixture()
        checkpoint.container = .gguf(GGUFMetadata())
        // Of other families it has too little to be one that is described.
        checkpoint.architecture = architecture == "llama" ? Architecture.named(gguf: architecture) : nil
        checkpoint.metadata["general.architecture"] = .string(architecture)
        checkpoint.metadata["\(architecture).block_count"] = .u32(UInt32(layers))
        for (key, value) in pairs { checkpoint.metadata["\(architecture).\(key)"] = value }
        checkpoint.tensors = [zeros("token_embd.weight", [4, 4])] + (0..<layers).map { zeros("blk.\($0).w", [4, 4]) }
        return checkpoint
    }

    /// The fixture with a vocabulary of four tokens, for tests that read it often.
    static func small() throws -> Checkpoint {
        var checkpoint = try fixture()
        let vocabulary = Vocabulary(
            preTokenizer: "gpt-2", tokens: ["<s>", "a", "b", "ab"], kinds: [.control, .normal, .normal, .normal],
            merges: [.init("a", "b")], addedTokens: [.init(id: 0, content: "<s>", special: true)])
        checkpoint.companions = try vocabulary.folderFiles()
        checkpoint.config?["vocab_size"] = .int(4)
        checkpoint.tensors = checkpoint.tensors.map { tensor in
            tensor.shape == [2048, 256] ? zeros(tensor.name, [4, 256], .bf16) : tensor
        }
        return checkpoint
    }

    /// The values of a tensor of F32.
    static func floats(_ tensor: Tensor?) throws -> [Float] {
        let bytes = try bytes(tensor)
        return stride(from: 0, to: bytes.count, by: 4).map { start in
            Float(bitPattern: bytes[start..<start + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) })
        }
    }

    /// The bytes of a tensor.
    static func bytes(_ tensor: Tensor?) throws -> [UInt8] {
        guard let tensor else { return [] }
        return try tensor.withBytes(rows: 0..<tensor.rowCount) { [UInt8]($0) }
    }
}

/// Expects that an edit is refused, with a part of the message.
func expectRefusal(
    _ message: String, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Checkpoint
) {
    do {
        _ = try body()
        Issue.record("nothing was refused", sourceLocation: sourceLocation)
    } catch {
        let known = error as? CheckpointError
        let text = known.map { [$0.description, $0.hint ?? ""].joined(separator: "; ") } ?? "\(error)"
        #expect(text.contains(message), sourceLocation: sourceLocation)
        #expect(!text.contains { $0.isNewline }, sourceLocation: sourceLocation)
    }
}
