internal import Checkpoints
internal import Kernels

/// What a teacher answers to contexts: a row of 32-bit words for each. The rows are in a file without a name or, where a run
/// may go on later, in files that an interrupted run leaves.
struct TeacherAnswers {
    /// Contexts whose answers are made, and kept, together.
    private static let contextsAtOnce = 16
    /// A row for each context of a block.
    private let blocks: [Tensor]

    /// Makes the answers that are not there yet.
    ///
    /// - Parameters:
    ///   - contexts: the tokens of each context.
    ///   - words: words in a row.
    ///   - kept: the files; `nil` keeps nothing.
    ///   - threads: how many threads write.
    ///   - progress: called with the number of contexts that are done.
    ///   - make: the rows of some contexts.
    init(
        _ contexts: [[Int32]], words: Int, kept: KeptAnswers?, threads: Int, progress: (_ done: Int) -> Void,
        make: (Range<Int>) throws(CheckpointError) -> [Float]
    ) throws(CheckpointError) {
        let ranges = stride(from: 0, to: contexts.count, by: TeacherAnswers.contextsAtOnce).map {
            $0..<min($0 + TeacherAnswers.contextsAtOnce, contexts.count)
        }
        var blocks: [Tensor] = []
        if let kept {
            for range in ranges {
                let file = kept.file(for: contexts[range], at: range.lowerBound)
                let shape = [range.count, words]
                if try file.answers(of: shape) == nil {
                    let answers = try Tensor(name: "answers", shape: shape, values: make(range))
                    try file.write([answers], in: [], threads: threads)
                }
                guard let answers = try file.answers(of: shape) else {
                    throw CheckpointError(file: file.path, "was replaced while the teacher answered")
                }
                blocks.append(answers)
                progress(range.upperBound)
            }
        } else {
            var file = try UnnamedFile(name: "the teacher's answers"), bytes: [Range<Int>] = []
            for range in ranges {
                let start = file.byteCount
                try file.append(make(range))
                bytes.append(start..<file.byteCount)
                progress(range.upperBound)
            }
            let (mapped, recipes) = try file.mapped(bytes)
            for (range, recipe) in zip(ranges, recipes) {
                blocks.append(Tensor(name: mapped.name, dtype: .f32, shape: [range.count, words], recipe: recipe))
            }
        }
        self.blocks = blocks
    }

    /// The rows of some contexts.
    func rows(of indices: [Int]) throws(CheckpointError) -> Scratch {
        let result = Scratch(floats: indices.count * (blocks.first?.rowLength ?? 0))
        for (place, index) in indices.enumerated() {
            let (block, row) = index.quotientAndRemainder(dividingBy: TeacherAnswers.contextsAtOnce)
            try blocks[block].withBytes(rows: row..<row + 1) { bytes in
                UnsafeMutableRawBufferPointer(start: result.base + place * bytes.count, count: bytes.count)
                    .copyMemory(from: bytes)
            }
        }
        return result
    }
}

/// The files with a teacher's answers that an interrupted run leaves.
struct KeptAnswers {
    /// What decides the answers, but for the contexts.
    private let identity: String
    /// What the paths of all files begin with.
    private let prefix: String
    /// How many contexts others have in these files.
    private var offset = 0

    /// The files of a training.
    ///
    /// - Parameter state: the file that keeps the rest of its state.
    init(of teacher: Checkpoint, _ settings: TrainingSettings, state: String) {
        let kind = "\(settings.teacher) \(settings.classes)"
        identity = "\(Release.version) \(InstructionSet.best) \(kind)\n\(teacher.identity)"
        prefix = KeptAnswers.prefix(state)
    }

    /// The files for further contexts.
    func after(_ count: Int) -> KeptAnswers {
        var files = self
        files.offset += count
        return files
    }

    /// The file of some contexts.
    ///
    /// - Parameter start: the number of the first one.
    fileprivate func file(for contexts: ArraySlice<[Int32]>, at start: Int) -> KeptTensors {
        var tokens: [Int32] = []
        for context in contexts { tokens += context + [-1] }
        let digest = tokens.withUnsafeBytes { Digest(of: $0) }
        return KeptTensors(
            identity: "\(Digest(of: Array("\(identity)\(digest)".utf8)))",
            path: KeptTensors.path(prefix, "\(offset + start)"))
    }

    /// Removes all files of this kind, whatever they hold.
    static func remove(state: String) { KeptTensors.removeAll(prefix(state)) }

    private static func prefix(_ state: String) -> String { state + "-" }
}

extension KeptTensors {
    /// The answers in the file; `nil` without it.
    fileprivate func answers(of shape: [Int]) throws(CheckpointError) -> Tensor? {
        guard let answers = try read()?.file.tensors.first else { return nil }
        guard answers.dtype == .f32, answers.shape == shape else {
            throw CheckpointError(
                file: path, tensor: answers.name,
                "is \(answers.dtype.name) of shape \(answers.shape); the teacher's answers are F32 of \(shape)",
                hint: "remove the file; the teacher answers again")
        }
        return answers
    }
}

extension UnnamedFile {
    fileprivate mutating func append(_ values: [Float]) throws(CheckpointError) {
        let result: Result<Void, CheckpointError> = values.withUnsafeBytes { bytes in
            do throws(CheckpointError) { return .success(try append(bytes)) } catch { return .failure(error) }
        }
        try result.get()
    }
}
