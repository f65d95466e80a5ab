internal import Checkpoints
internal import Formats
internal import Kernels

/// The state of a training in a file: a line of JSON, then the values of all matrices in f32: as they are, the running means of
/// gradients and of their squares, and the best ones.
enum TrainingState {
    /// Writes the state. The values are not copied, because they may be most of what is in memory.
    static func write(_ session: TrainingSession, to path: String) throws(CheckpointError) {
        let header = JSONObject([
            ("resect", .string("training")), ("fingerprint", .string(session.identity)),
            ("probe", .double(session.probe)), ("step", .int(session.step)), ("best", .int(session.bestStep)),
            ("curve", session.curve.json),
        ])
        let values = memory(of: session).map { UnsafeRawBufferPointer(start: $0.base, count: $0.byteCount) }
        try WholeFile.write(Array(JSON.object(header).compact.utf8) + [0x0A], values, to: path, replaces: true)
    }

    /// The memory of all values, in the order of the file.
    private static func memory(of session: TrainingSession) -> [Scratch] {
        session.matrices.matrices.flatMap { [$0.values, $0.mean, $0.square] } + session.best
    }

    /// Refuses the state of another training, before the teacher has run.
    static func check(_ path: String, _ identity: String) throws(CheckpointError) {
        guard FileSystem.kind(of: path) != .missing else { return }
        let header = try read(path).header
        guard header["fingerprint"]?.string == identity else { throw other(path) }
    }

    private static func other(_ path: String) -> CheckpointError {
        CheckpointError(
            file: path,
            "holds the state of a training with other options, models or texts, or by another version or instruction set",
            hint: "begin again without --resume, or give the same ones")
    }

    /// The header, and where the values begin in the file.
    private static func read(
        _ path: String
    ) throws(CheckpointError) -> (header: JSONObject, file: MappedFile, start: Int) {
        let file = try MappedFile(path: path)
        guard let end = file.bytes.firstIndex(of: 0x0A) else {
            throw CheckpointError(file: path, "does not hold the state of a training")
        }
        return (try FileSystem.json(Array(file.bytes[..<end]), path: path), file, end + 1)
    }

    /// Puts what a file holds into a session that begins.
    ///
    /// - Throws: when it is of another training.
    static func read(_ path: String, into session: TrainingSession) throws(CheckpointError) {
        let (header, file, start) = try read(path)
        guard let step = header["step"]?.int, let best = header["best"]?.int,
            let curve = TrainingCurve(header["curve"]),
            step == curve.steps.count, header["resect"]?.string == "training"
        else { throw CheckpointError(file: path, "does not hold the state of a training") }
        guard header["fingerprint"]?.string == session.identity, header["probe"]?.double == session.probe else {
            throw other(path)
        }
        let memory = memory(of: session), count = memory.reduce(0) { $0 + $1.byteCount }
        guard file.byteCount - start == count else {
            throw CheckpointError(
                file: path, "has \(file.byteCount - start) bytes of values; the training has \(count)")
        }
        var place = start
        for part in memory {
            let bytes = UnsafeRawBufferPointer(rebasing: file.bytes[place...].prefix(part.byteCount))
            UnsafeMutableRawBufferPointer(start: part.base, count: part.byteCount).copyMemory(from: bytes)
            place += part.byteCount
        }
        try file.checkUnchanged()
        (session.step, session.bestStep, session.curve) = (step, best, curve)
    }

    /// What decides a training, but for the weights, which the probe stands for.
    static func identity(_ settings: TrainingSettings, training: [[Int32]], measured: [[Int32]]) -> String {
        var tokens: [Int32] = []
        for context in training + measured { tokens += context + [-1] }
        let program = "\(Release.version) \(InstructionSet.best)"
        return "\(program) \(tokens.withUnsafeBytes { Digest(of: $0) }) \(training.count) \(settings)"
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
