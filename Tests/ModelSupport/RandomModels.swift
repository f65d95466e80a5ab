package import Checkpoints
internal import Formats
internal import TestSupport

/// Models of few layers of any described class, with random weights, made of their description.
package enum RandomModels {
    /// A class that is not described.
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
        model.tensors = []
        let settings = Settings(model, architecture)
        var random = SeededGenerator(seed: seed)
        var names: Set<String> = []
        for role in architecture.tensors {
            guard let part = role.huggingFace else { continue }
            for layer in role.isPerLayer ? Array(0..<layers) : [0] where try settings.needs(role, layer: layer) == true
            {
                var shape = try role.shape.map(settings.length)
                if !part.dims.isEmpty { shape[0] = try settings.grid(of: part).sizes.reduce(1, *) }
                if part.isTransposed { shape.reverse() }
                let count = part.isPerExpert ? shape.removeFirst() : 1
                for expert in 0..<count {
                    let name = part.name(layer: layer, expert: expert)
                    guard names.insert(name).inserted else { continue }
                    let isNorm = role.role.hasSuffix("norm")
                    let values = random.floats(shape.reduce(1, *), scale: 0.3).map { isNorm ? 1 + $0 : $0 }
                    model.tensors.append(
                        Tensor(name: name, dtype: .f32, shape: shape, recipe: .computed(Values(values: values))))
                }
            }
        }
        return model
    }
}
