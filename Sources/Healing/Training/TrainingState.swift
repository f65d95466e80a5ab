internal import Checkpoints
internal import Formats
internal import Kernels

/// The state of a training in a file: a line of JSON, then the values of all matrices in f32: as they are, the running means of
/// gradients and of their squares, and the best ones.
struct TrainingState {
    private static let limit = 1 << 36
    private let bytes: [UInt8]

    init(_ session: TrainingSession) {
        let header = JSONObject([
            ("resect", .string("training")), ("fingerprint", .string(TrainingState.fingerprint(session))),
            ("probe", .double(session.probe)), ("step", .int(session.step)), ("best", .int(session.bestStep)),
            ("curve", session.curve.json),
        ])
        var bytes = Array(JSON.object(header).compact.utf8) + [0x0A]
        func append(_ values: UnsafePointer<Float>, _ count: Int) {
            bytes += UnsafeRawBufferPointer(start: values, count: 4 * count)
        }
        for matrix in session.matrices.matrices {
            for memory in [matrix.values, matrix.mean, matrix.square] { append(memory.floats, matrix.count) }
        }
        for values in session.best { append(values, values.count) }
        self.bytes = bytes
    }

    func write(to path: String) throws(CheckpointError) { try SmallFile.write(bytes, to: path, replaces: true) }

    /// Puts what a file holds into a session that begins.
    ///
    /// - Throws: when it is of another training.
    static func read(_ path: String, into session: TrainingSession) throws(CheckpointError) {
        let bytes = try FileSystem.contents(of: path, limit: limit)
        guard let end = bytes.firstIndex(of: 0x0A) else {
            throw CheckpointError(file: path, "does not hold the state of a training")
        }
        let header = try FileSystem.json(Array(bytes[..<end]), path: path)
        guard let step = header["step"]?.int, let best = header["best"]?.int,
            let curve = TrainingCurve(header["curve"]),
            step == curve.steps.count, header["resect"]?.string == "training"
        else { throw CheckpointError(file: path, "does not hold the state of a training") }
        guard header["fingerprint"]?.string == fingerprint(session), header["probe"]?.double == session.probe else {
            throw CheckpointError(
                file: path, "holds the state of a training with other options, models or texts",
                hint: "begin again without --resume, or give the same ones")
        }
        let matrices = session.matrices.matrices
        let count = matrices.reduce(0) { $0 + $1.count }
        guard bytes.count - end - 1 == 16 * count else {
            throw CheckpointError(
                file: path, "has \(bytes.count - end - 1) bytes of values; the training has \(16 * count)")
        }
        bytes.withUnsafeBytes { raw in
            guard var place = raw.baseAddress.map({ $0 + end + 1 }) else { return }
            for matrix in matrices {
                for memory in [matrix.values, matrix.mean, matrix.square] {
                    memory.base.copyMemory(from: place, byteCount: 4 * matrix.count)
                    place += 4 * matrix.count
                }
            }
            for index in session.best.indices {
                let byteCount = 4 * session.best[index].count
                session.best[index].withUnsafeMutableBytes {
                    $0.baseAddress?.copyMemory(from: place, byteCount: byteCount)
                }
                place += byteCount
            }
        }
        (session.step, session.bestStep, session.curve) = (step, best, curve)
    }

    /// What decides a training, but for the weights, which the probe stands for.
    private static func fingerprint(_ session: TrainingSession) -> String {
        var tokens: [Int32] = []
        for context in session.training.contexts + session.measuredContexts { tokens += context + [-1] }
        return "\(tokens.withUnsafeBytes { Digest(of: $0) }) \(session.training.contexts.count) \(session.settings)"
    }
}

extension TrainingCurve {
    /// The curve that `json` gives.
    init?(_ value: JSON?) {
        guard let steps = value?["steps"]?.array, let heldOut = value?["held_out"]?.array else { return nil }
        for step in steps {
            guard let loss = step["loss"]?.double, let rate = step["rate"]?.double,
                let gradient = step["gradient"]?.double
            else { return nil }
            self.steps.append(Step(loss: loss, rate: rate, gradient: gradient))
        }
        for measurement in heldOut {
            guard let step = measurement["step"]?.int, let loss = measurement["loss"]?.double else { return nil }
            self.heldOut.append(Measurement(step: step, loss: loss))
        }
    }
}
