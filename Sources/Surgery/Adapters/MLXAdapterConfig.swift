internal import Checkpoints
internal import Formats

/// The adapter_config.json of mlx-lm. Settings of the training alone are not read.
struct MLXAdapterConfig: Sendable {
    /// What was trained.
    enum Tuning: String, Sendable, CaseIterable {
        /// Low-rank changes of weights; `dora` with norms of their rows; or whole weights.
        case lora, dora, full
    }

    /// The low-rank changes.
    struct LowRank: Sendable {
        let rank: Int
        /// The factor of the product; it is not divided by the rank.
        let scale: Float
        /// The changed modules, by their names in a layer or in the model; `nil` for all Linears of a layer.
        let keys: [String]?
    }

    let tuning: Tuning
    /// How many layers were trained, counted from the last one; `nil` when the file does not state it.
    let layerCount: Int?
    /// The low-rank changes; `nil` when whole weights were trained.
    let lowRank: LowRank?
    /// The base, as the training named it.
    let baseName: String?
    /// The path of the file, for messages.
    let path: String

    /// Reads the file.
    ///
    /// - Throws: for values that are missing, or of the wrong type or size.
    init(_ object: JSONObject, path: String) throws(CheckpointError) {
        self.path = path
        let reader = AdapterConfigReader(object, path: path)
        let kind = try reader.string("fine_tune_type") ?? Tuning.lora.rawValue
        guard let tuning = Tuning(rawValue: kind) else {
            let known = Tuning.allCases.map(\.rawValue).joined(separator: ", ")
            throw CheckpointError(file: path, "'fine_tune_type' is '\(kind)', which is none of \(known)")
        }
        self.tuning = tuning
        layerCount = try reader.int("num_layers")
        baseName = try reader.string("model")
        guard tuning != .full else {
            lowRank = nil
            return
        }
        guard layerCount != nil else {
            throw CheckpointError(
                file: path, "has no 'num_layers'",
                hint: object["lora_layers"] == nil ? nil : "'lora_layers' is its name in old versions: rename it")
        }
        lowRank = try LowRank(reader)
    }
}

extension MLXAdapterConfig.LowRank {
    private static let name = "lora_parameters"
    /// The known members. Old versions write `alpha` beside the scale, but do not use it.
    private static let known: Set<String> = ["rank", "scale", "keys", "dropout", "alpha"]

    fileprivate init(_ config: AdapterConfigReader) throws(CheckpointError) {
        guard let object = try config.required(Self.name).object else {
            throw CheckpointError(file: config.path, "'\(Self.name)' is not an object")
        }
        if let other = object.members.first(where: { !Self.known.contains($0.0) && $0.1 != .null }) {
            throw CheckpointError(
                file: config.path, "has '\(Self.name).\(other.0)', a setting that resect does not know",
                hint: "remove it if it does not change what the adapter computes")
        }
        let reader = AdapterConfigReader(object, path: config.path)
        func value(_ key: String) throws(CheckpointError) -> JSON {
            if let value = reader.value(key) { return value }
            throw CheckpointError(
                file: config.path, "has no '\(Self.name).\(key)'",
                hint: key == "scale" && object["alpha"] != nil
                    ? "mlx-lm's scale is the whole factor, alpha / rank of other programs" : nil)
        }
        rank = try reader.positive(value("rank"), "\(Self.name).rank")
        scale = Float(try reader.finite(value("scale"), "\(Self.name).scale"))
        keys = try reader.strings("keys")
        guard scale.isFinite, scale != 0 else {
            let reason = scale == 0 ? "0, so the adapter would change nothing" : "beyond f32"
            throw CheckpointError(file: config.path, "'\(Self.name).scale' is \(reason)")
        }
        if let keys, keys.isEmpty {
            throw CheckpointError(
                file: config.path, "'\(Self.name).keys' is empty, so the adapter would change nothing")
        }
    }
}
