internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// What a quantization looks at besides its type: importance, and which inputs it takes.
struct QuantizeInputs: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "An importance matrix, as llama-imatrix makes it: columns that matter more get less of the error.",
            valueName: "file"))
    var imatrix: String?

    @Flag(
        name: .long,
        help: "Quantize weights that are quantized already once more, in another type.")
    var allowRequantize = false

    @Flag(
        name: .long,
        help: "Write a folder of packed weights even if more than a tenth of them cannot be packed and stay plain.")
    var allowPlain = false

    @Flag(name: .long, help: "Quantize weights also where they are NaN or infinite.")
    var allowNonfinite = false

    /// Whether only such are given as forms of folders understand too.
    var suitFolders: Bool { imatrix == nil && !allowNonfinite }

    /// The importance matrix that is asked for.
    func matrix() throws(CheckpointError) -> ImportanceMatrix? {
        try imatrix.map { path throws(CheckpointError) in try ImportanceMatrix(path: path) }
    }

    /// Sets what these options say.
    func apply(to settings: inout Quantize.Settings, matrix: ImportanceMatrix?, dropped: LayerRuns = LayerRuns()) {
        settings.importance = matrix.map { Importance($0, dropped: dropped) }
        settings.allowsRequantize = allowRequantize
        settings.allowsNonfinite = allowNonfinite
    }
}

extension CommonOptions {
    /// Names the tensors that an importance matrix has nothing for.
    func noteUnmeasured(_ tensors: [String], in matrix: ImportanceMatrix?) {
        guard let matrix, let first = tensors.first else { return }
        let shown = tensors.prefix(3).joined(separator: ", ") + (tensors.count > 3 ? ", …" : "")
        let which = tensors.count == 1 ? first : "\(tensors.count) tensors (\(shown))"
        note("\(which): no entry in \(matrix.path), so all columns count the same")
    }
}

extension ImportanceMatrix {
    /// What the JSON answer says of it.
    func json(unmeasured: Int) -> JSON {
        .object(
            JSONObject([
                ("file", .string(path)), ("entries", .int(count)), ("unmeasured", .int(unmeasured)),
            ]))
    }
}
