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

    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp(
            "Layers that were cut after the importance matrix was measured, such as 3,7,9:12. Repeatable.",
            valueName: "list"))
    var imatrixDropped: [LayerList] = []

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

    func validate() throws {
        if !imatrixDropped.isEmpty, imatrix == nil { throw ValidationError("--imatrix-dropped requires --imatrix") }
    }

    /// Refuses options that do not apply to a type.
    func check(for type: WeightType?, _ mixture: MixtureOptions, _ folderFormat: FolderFormatOptions) throws {
        if type?.folder == nil, !folderFormat.isEmpty || allowPlain {
            throw ValidationError(
                "--group-size, --symmetric, --checkpoint-format, --block-size, --double-quant and --allow-plain apply "
                    + "to folder types only: \(FolderType.names)")
        }
        if let folder = type?.folder {
            guard mixture.isEmpty, suitFolders else {
                throw ValidationError(
                    "--tensor-type, --output-type, --embedding-type, --pure, --keep-split, --imatrix and "
                        + "--allow-nonfinite do not apply to folder types: \(FolderType.names)")
            }
            try folderFormat.check(for: folder)
        } else if type == nil, !mixture.isEmpty || imatrix != nil || allowNonfinite || allowRequantize {
            throw ValidationError(
                "--tensor-type, --output-type, --embedding-type, --pure, --imatrix, --allow-nonfinite and "
                    + "--allow-requantize require a quantization: choose one with --type")
        }
    }

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
