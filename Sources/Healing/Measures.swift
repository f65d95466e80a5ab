internal import Analysis
public import Checkpoints
internal import Formats
internal import Kernels
internal import Synchronization

/// What was measured of a model so far, in a file, so that a run that was interrupted goes on after it.
///
/// Every value is found by what decides it: the model and its files, the text, the options, and the version of resect. Numbers
/// are kept with all their digits, so the later run comes to the same result. A file of another model or text is harmless: nothing
/// in it is found.
public final class Measures: Sendable {
    private let path: String
    private let model: String
    private let values: Mutex<JSONObject>

    private static let kind = "measures", limit = 1 << 30

    /// Reads what an earlier run has measured, if the file is there.
    ///
    /// - Parameters:
    ///   - path: the file, which is written after every measurement.
    ///   - model: the model, as it was opened; adapters may be merged into it.
    /// - Throws: when the file holds something else.
    public init(at path: String, of model: Checkpoint) throws(CheckpointError) {
        self.path = path
        self.model = "\(model.identity)\n\(Release.version) \(InstructionSet.best)"
        guard FileSystem.kind(of: path) != .missing else {
            values = Mutex(JSONObject())
            return
        }
        let object = try FileSystem.json(FileSystem.contents(of: path, limit: Measures.limit), path: path)
        guard object["resect"]?.string == Measures.kind, let found = object["values"]?.object else {
            throw CheckpointError(file: path, "does not hold measures of an interrupted run", hint: "remove it")
        }
        values = Mutex(found)
    }

    /// How many values there are.
    public var count: Int { values.withLock { $0.count } }

    /// How many parts of layers are fitted in a heal that did not come to its end.
    public var fitCount: Int { KeptTensors.paths(Measures.fitsPrefix(path)).count }

    /// Removes what was kept, once the work is done.
    public func remove() { Measures.remove(at: path) }

    /// Removes what a run has kept in a file, and in others beside it.
    ///
    /// - Parameter path: the file that `init(at:of:)` got.
    public static func remove(at path: String) {
        WholeFile.remove(path)
        WholeFile.remove(healPath(path))
        KeptTensors.removeAll(fitsPrefix(path))
    }

    /// Removes what was fitted of a heal that has come to its end.
    func removeFits() { KeptTensors.removeAll(Measures.fitsPrefix(path)) }

    private static func healPath(_ path: String) -> String { path + ".safetensors" }
    private static func fitsPrefix(_ path: String) -> String { path + "-" }

    /// A finished heal, and one that has not come to its end.
    ///
    /// - Parameter parts: what decides it, but for the model.
    func keptHeal(_ parts: [String]) -> (heal: KeptHeal, fits: KeptFits) {
        let identity = key(parts)
        return (
            KeptHeal(file: KeptWeights(identity: identity, path: Measures.healPath(path))),
            KeptFits(identity: identity, prefix: Measures.fitsPrefix(path))
        )
    }

    /// The key of a value.
    fileprivate func key(_ parts: [String]) -> String {
        "\(Digest(of: Array(([model] + parts).joined(separator: "\n").utf8)))"
    }

    fileprivate subscript(key: String) -> JSON? { values.withLock { $0[key] } }

    fileprivate func keep(_ value: JSON, _ key: String) throws(CheckpointError) {
        let all = values.withLock { values in
            values[key] = value
            return values
        }
        let object = JSONObject([
            ("resect", .string(Measures.kind)), ("values", .object(all)),
        ])
        try WholeFile.write(Array(JSON.object(object).compact.utf8) + [0x0A], to: path, replaces: true)
    }
}

extension Work {
    /// A value that an earlier run has measured, or that is measured now and kept.
    ///
    /// - Parameter parts: what decides the value, but for the model.
    func measured<Value>(
        _ parts: [String], read: (JSON) -> Value?, write: (Value) -> JSON,
        _ measure: () throws(CheckpointError) -> Value
    ) throws(CheckpointError) -> Value {
        guard let measures else { return try measure() }
        let key = measures.key(parts)
        if let value = measures[key].flatMap(read) { return value }
        let value = try measure()
        try measures.keep(write(value), key)
        return value
    }

    /// An evaluation; `nil` where there is none.
    func evaluated(
        _ parts: [String], _ measure: () throws(CheckpointError) -> Evaluation?
    ) throws(CheckpointError) -> Evaluation? {
        // Null is a value too: what computes NaN is not measured again.
        try measured(
            parts, read: { $0 == .null ? .some(nil) : Evaluation(kept: $0).map { .some($0) } },
            write: { $0?.kept ?? .null }, measure)
    }
}

extension Evaluation {
    /// The evaluation that `kept` gives.
    init?(kept: JSON?) {
        guard let values = kept?.array, values.count == 3, let tokens = values[0].int else { return nil }
        // Null stands for NaN.
        let (loss, error) = (values[1].double ?? .nan, values[2].double ?? .nan)
        self.init(tokens: tokens, negativeLogLikelihood: loss, standardError: error)
    }

    /// It for a file, with all digits.
    var kept: JSON { .array([.int(tokens), JSON(loss: negativeLogLikelihood), JSON(loss: standardError)]) }
}

extension JSON {
    /// A loss; null stands for infinity.
    init(loss: Double) { self = loss.isFinite ? .double(loss) : .null }

    /// The loss that `init(loss:)` has written.
    var loss: Double? { self == .null ? .infinity : double }
}

extension Corpus {
    /// A digest of all tokens.
    var identity: String {
        var tokens: [Int32] = []
        for context in contexts { tokens += context + [-1] }
        return "\(contextLength) \(tokens.withUnsafeBytes { Digest(of: $0) })"
    }
}
