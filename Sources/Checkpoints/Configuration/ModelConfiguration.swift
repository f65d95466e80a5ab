package import Formats

/// The numbers of a decoder, read from config.json or from GGUF metadata by the keys of its architecture file.
package struct ModelConfiguration: Sendable {
    /// How many layers the tensors have.
    package let layers: Int
    /// The width of the residual stream.
    package let hidden: Int
    /// The width of the MLP.
    package let ffn: Int
    /// Query heads.
    package let heads: Int
    /// Key and value heads.
    package let keyValueHeads: Int
    /// Elements of a head.
    package let headSize: Int
    /// What is added to the mean square before a norm divides by its root.
    package let epsilon: Float
    /// The base of the rotary frequencies.
    package let theta: Double
    /// How positions are scaled; `nil` when they are not.
    package let scaling: RopeScaling?
    /// The factors of `rope_freqs.weight`, which GGUF files have in place of Llama 3's numbers.
    package let ropeFactors: [Float]?
    /// How many positions back attention reaches; `nil` without a limit.
    package let window: Int?
    /// Whether rotary pairs are neighbours, as in GGUF, rather than half a head apart.
    package let interleaves: Bool

    /// Reads the numbers of a checkpoint whose architecture is described.
    ///
    /// - Throws: when a number is missing, absurd, or something asks for more than the decoder does.
    package init(_ checkpoint: Checkpoint, architecture: Architecture) throws(CheckpointError) {
        let file = checkpoint.path
        func value(_ role: String) -> (name: String, int: Int?, double: Double?) {
            guard let key = architecture.keys.first(where: { $0.role == role }) else { return (role, nil, nil) }
            if checkpoint.form == .gguf {
                let value = checkpoint.metadata.setting(key.gguf)
                return ("\(architecture.gguf).\(key.gguf)", value?.int, value?.double)
            }
            let value = checkpoint.config?[key.huggingFace]
            return (key.huggingFace, value?.int, value?.double)
        }
        func positive(_ role: String, or standard: Int? = nil) throws(CheckpointError) -> Int {
            let (name, found, _) = value(role)
            // No model has a dimension of 2^31, and products of two such numbers still fit.
            guard let number = found ?? standard, number > 0, number <= Int32.max else {
                throw CheckpointError(file: file, "'\(name)' is missing or no positive whole number")
            }
            return number
        }
        layers = checkpoint.layerCount
        hidden = try positive("hidden")
        ffn = try positive("ffn")
        heads = try positive("heads")
        keyValueHeads = try positive("kv_heads", or: heads)
        headSize = try positive("key_size", or: hidden / heads)
        guard heads % keyValueHeads == 0, headSize % 2 == 0, headSize <= 1024 else {
            throw CheckpointError(
                file: file, "has \(heads) heads of \(headSize) over \(keyValueHeads) key heads, which do not fit")
        }
        guard let epsilon = value("norm_epsilon").double, epsilon >= 0, epsilon < 1 else {
            throw CheckpointError(file: file, "'\(value("norm_epsilon").name)' is missing or no small number")
        }
        self.epsilon = Float(epsilon)
        let nested = checkpoint.config?["rope_parameters"]?["rope_theta"]?.double
        theta = value("rope_theta").double ?? nested ?? 10000
        guard theta.isFinite, theta > 1 else {
            throw CheckpointError(file: file, "the base of the rotary frequencies is \(theta)")
        }
        ropeFactors = checkpoint.form == .gguf ? try checkpoint.ropeFactors() : nil
        if checkpoint.form == .gguf {
            scaling =
                ropeFactors != nil
                ? nil
                : try RopeScaling(
                    metadata: checkpoint.metadata, factors: nil, frequencies: [], file: file)
        } else {
            scaling = try RopeScaling(config: checkpoint.config ?? JSONObject(), file: file)
        }
        let windowKey = architecture.decoder["window_key"]?.string
        window = windowKey.flatMap { checkpoint.config?[$0]?.int }.flatMap { $0 > 0 ? $0 : nil }
        let rope = architecture.decoder[checkpoint.form == .gguf ? "gguf_rope" : "rope"]?.string
        interleaves = rope == "interleaved"
        try refuseOthers(checkpoint, architecture)
    }

    /// Refuses switches that the decoder does not have, rather than computing something else.
    private func refuseOthers(_ checkpoint: Checkpoint, _ architecture: Architecture) throws(CheckpointError) {
        let file = checkpoint.path
        if checkpoint.form == .gguf {
            if let rotated = checkpoint.metadata.setting("rope.dimension_count")?.int, rotated != headSize {
                throw CheckpointError(
                    file: file, "rotates \(rotated) of the \(headSize) elements of a head, which is not computed")
            }
            return
        }
        if architecture.decoder["ffn"]?.string == "swiglu", let activation = checkpoint.config?["hidden_act"]?.string,
            !["silu", "swish"].contains(activation)
        {
            throw CheckpointError(
                file: file, "asks for the activation '\(activation)', which is not computed; silu is")
        }
        let share =
            checkpoint.config?["rope_parameters"]?["partial_rotary_factor"]?.double
            ?? checkpoint.config?["partial_rotary_factor"]?.double ?? 1
        guard share == 1 else {
            throw CheckpointError(file: file, "rotates a share of \(share) of every head, which is not computed")
        }
    }

    /// The rotary frequencies, scaled, in radians for each position; half as many as a head has elements.
    ///
    /// - Throws: for a scaling that is not computed.
    package func frequencies(file: String) throws(CheckpointError) -> [Double] {
        let plain = RopeScaling.frequencies(headSize: headSize, theta: theta)
        if let ropeFactors {
            guard ropeFactors.count == plain.count else {
                throw CheckpointError(
                    file: file, tensor: "rope_freqs.weight",
                    "has \(ropeFactors.count) factors for \(plain.count) frequencies")
            }
            return zip(plain, ropeFactors).map { $0 / Double($1) }
        }
        switch scaling {
        case nil: return plain
        case .linear(let factor): return plain.map { $0 / factor }
        case .llama3(let numbers): return zip(plain, numbers.factors(plain)).map { $0 / Double($1) }
        case .yarn:
            throw CheckpointError(
                file: file, "scales its positions by YaRN, which the forward pass does not compute",
                hint: "inspect, cut --layers, convert and quantize work on it")
        }
    }
}

extension Checkpoint {
    /// The factors of `rope_freqs.weight`; `nil` when the file has no such tensor.
    package func ropeFactors() throws(CheckpointError) -> [Float]? {
        guard let tensor = tensor(named: "rope_freqs.weight") else { return nil }
        guard tensor.shape.count == 1, tensor.dtype == .f32 else {
            throw CheckpointError(
                file: path, tensor: tensor.name,
                "of type \(tensor.dtype) and shape \(tensor.shape) is no list of factors")
        }
        return try tensor.withBytes(rows: 0..<tensor.rowCount) { bytes in
            (0..<tensor.count).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
        }
    }
}

extension Checkpoint {
    /// The longest context that the model was made for, in tokens; `nil` when the file does not say.
    package var longestContext: Int? {
        guard let key = architecture?.keys.first(where: { $0.role == "context" }) else { return nil }
        return form == .gguf ? metadata.setting(key.gguf)?.int : config?[key.huggingFace]?.int
    }
}
