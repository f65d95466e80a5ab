public import Checkpoints
public import Surgery

/// The type that `Shrink` gives the weights.
public enum ShrinkTarget: Sendable {
    /// Each weight keeps its type.
    case unchanged
    /// The types of a mixture: Q4_K_M.
    case mixture(Quantize.Settings)
    /// A form of packed weights in a folder: W4A16.
    case folder(FolderType, FolderQuantizationSettings = FolderQuantizationSettings())

    /// The type of that name, as the command takes it.
    ///
    /// - Throws: an error with the known names.
    public init(named name: String) throws(CheckpointError) {
        if let type = FolderType(named: name) {
            self = .folder(type)
        } else if let mixture = Mixture.named(name) {
            self = .mixture(Quantize.Settings(mixture))
        } else {
            let names = Mixture.all.map(\.name) + FolderType.allCases.map(\.rawValue)
            throw CheckpointError("the type '\(name)' is not known", hint: "known: " + names.joined(separator: " "))
        }
    }

    /// The name of the type; `nil` where weights keep theirs.
    public var name: String? {
        switch self {
        case .unchanged: nil
        case .mixture(let settings): settings.mixture.name
        case .folder(let type, _): type.rawValue
        }
    }

    /// The edits before the quantization, and the quantization.
    ///
    /// - Parameters:
    ///   - dropped: the layers that are cut. An importance matrix is that of the whole model, so each layer that
    ///     stays uses its old number.
    ///   - allowsRequantize: whether weights may be rounded again, also where the options of the type say no.
    func edits(
        for checkpoint: Checkpoint, to form: Checkpoint.Form, without dropped: LayerRuns, allowsRequantize: Bool
    ) -> (before: [any Edit], last: (any Edit)?) {
        switch self {
        case .unchanged: return ([Convert(to: form)], nil)
        case .folder(let type, var settings):
            settings.allowsRequantize = settings.allowsRequantize || allowsRequantize
            return ([Convert(to: form)], QuantizeFolder(type, settings: settings))
        case .mixture(var settings):
            settings.importance = settings.importance?.dropping(dropped)
            settings.allowsRequantize = settings.allowsRequantize || allowsRequantize
            let convert = Convert.beforeQuantization(of: checkpoint, to: form)
            return ([DequantizeFolder(to: .f32), convert], Quantize(settings))
        }
    }
}
