package import Checkpoints
internal import Formats
internal import TestSupport

/// Models of few layers of any class that resect knows, with random weights.
package enum RandomModels {
    /// A class that resect does not know.
    package struct Missing: Error {
        let name: String
    }

    private struct Values: RowSource {
        let values: [Float]
        var description: String { "\(values.count) values" }

        func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
            let start = rows.lowerBound * (output.count / max(1, rows.count))
            values.withUnsafeBytes { bytes in
                output.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[start..<start + output.count]))
            }
        }
    }

    /// A folder of a class with members of config.json besides the usual ones.
    package static func folder(
        _ name: String, _ members: String, layers: Int = 3, seed: UInt64 = 21
    ) throws -> Checkpoint {
        var model = try Checkpoint.open(Fixture.path("tiny/llama3"))
        var config = JSONObject()
        for text in [
            #"{"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": \#(layers), "num_attention_heads": 4}"#,
            #"{"num_key_value_heads": 2, "vocab_size": 64, "max_position_embeddings": 128, "rms_norm_eps": 1e-5}"#,
            #"{"layer_norm_eps": 1e-5, "architectures": ["\#(name)"]}"#, members,
        ] {
            guard let object = try JSON.parse(text).object else { continue }
            for (key, value) in object.members { config[key] = value }
        }
        model.config = config
        guard let architecture = Architecture.named(class: name) else { throw Missing(name: name) }
        model.architecture = architecture
        let settings = Settings(model, architecture)
        var random = SeededGenerator(seed: seed)
        model.tensors = try settings.folderTensors(layers: layers) { (role, layer) throws(CheckpointError) in
            try settings.needs(role, layer: layer) == true
        }.map { tensor in
            let isNorm = tensor.role.role.hasSuffix("norm")
            let values = random.floats(tensor.shape.reduce(1, *), scale: 0.3).map { isNorm ? 1 + $0 : $0 }
            return Tensor(
                name: tensor.name, dtype: .f32, shape: tensor.shape, recipe: .computed(Values(values: values)))
        }
        return model
    }
}
