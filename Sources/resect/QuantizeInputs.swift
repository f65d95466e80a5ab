internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// Options of a quantization besides its type: importance, and which inputs are allowed.
struct QuantizeInputs: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "An importance matrix from llama-imatrix; more important columns get smaller errors.",
            valueName: "file"), completion: .file())
    var imatrix: String?

    @Flag(
        name: .long,
        help: "Allow quantizing already quantized weights to another type.")
    var allowRequantize = false

    @Flag(
        name: .long,
        help: "Allow a quantized folder in which more than a tenth of the weights stays unquantized.")
    var allowPlain = false

    @Flag(name: .long, help: "Allow NaN and infinity in weights.")
    var allowNonfinite = false

    /// Whether all given options also apply to folder formats.
    var suitFolders: Bool { imatrix == nil && !allowNonfinite }

    /// The importance matrix of --imatrix.
    func matrix() throws(CheckpointError) -> ImportanceMatrix? {
        try imatrix.map { path throws(CheckpointError) in try ImportanceMatrix(path: path) }
    }

    /// Applies the options to settings.
    func apply(to settings: inout Quantize.Settings, matrix: ImportanceMatrix?, dropped: LayerRuns = LayerRuns()) {
        settings.importance = matrix.map { Importance($0, dropped: dropped) }
        settings.allowsRequantize = allowRequantize
        settings.allowsNonfinite = allowNonfinite
    }
}

extension ImportanceMatrix {
    /// Its entry in the JSON output.
    func json(unmeasured: Int) -> JSON {
        .object(
            JSONObject([
                ("file", .string(path)), ("entries", .int(count)), ("unmeasured", .int(unmeasured)),
            ]))
    }
}
