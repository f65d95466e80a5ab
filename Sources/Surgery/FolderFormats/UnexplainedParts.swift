internal import Checkpoints
internal import Formats

/// Finds tensors that are quantized or belong to quantized weights by name, type and shape. Those that the settings do
/// not explain have unknown values: resect copies them, but does not cast, quantize or compute with them.
struct UnexplainedParts {
    private let checkpoint: Checkpoint
    /// The pattern of layer names; `nil` when no tensor has a single column.
    private let layers: LayerPattern?

    /// Checks a folder or a safetensors file. In GGUF the type of every tensor is explicit.
    init(_ checkpoint: Checkpoint) {
        self.checkpoint = checkpoint
        layers = checkpoint.tensors.contains(where: UnexplainedParts.isColumn) ? checkpoint.layerPattern : nil
    }

    /// Last name components that only parts of quantized weights have, in any format.
    private static let endings: Set<String> = [
        "qweight", "qzeros", "g_idx", "scales", "weight_packed", "weight_scale", "weight_scale_inv", "weight_scale_2",
        "weight_global_scale", "weight_zero_point", "weight_shape", "weight_g_idx", "weight_scales", "scale_weight",
        "absmax", "quant_map", "nested_absmax", "nested_quant_map", "SCB", "weight_format", "Qidxs", "codebooks",
    ]
    /// Integer types that hold packed codes. Codes never have 64 bits, and masks are BOOL.
    private static let words: Set<String> = ["I8", "U8", "I16", "U16", "I32", "U32"]
    /// Name suffixes of tensors that hold indices or masks.
    private static let indices = ["ids", "index", "2eid", "mask"]

    /// Whether there are no unexplained tensors.
    var isEmpty: Bool { checkpoint.form == .gguf || checkpoint.tensors.allSatisfy { problem(of: $0) == nil } }

    /// Throws an error for the first unexplained tensor, if there is one.
    ///
    /// - Parameter format: the name of the format whose settings were read; `nil` without settings.
    func refuse(format: String?) throws(CheckpointError) {
        guard checkpoint.form != .gguf else { return }
        // Prefer to name a tensor of codes over the scales beside it.
        var found: (tensor: Tensor, problem: String)?
        for tensor in checkpoint.tensors {
            let isCodes = !Cast.isWeight(tensor) && tensor.shape.count > 1
            guard found == nil || isCodes, let problem = problem(of: tensor) else { continue }
            found = (tensor, problem)
            if isCodes { break }
        }
        guard let (tensor, problem) = found else { return }
        let settings = format.map { "the \($0) settings do not cover it" } ?? "no settings explain its values"
        throw CheckpointError(
            file: checkpoint.path, tensor: tensor.name, "\(problem), but \(settings)",
            hint: format == nil ? hint : nil)
    }

    private var hint: String {
        checkpoint.form == .folder
            ? "add the model's quantization_config to config.json, or its quantize_config.json beside it"
            : "give the folder that contains the file and the config.json of the model"
    }

    /// Why a tensor appears to be quantized; `nil` for floats and for indices.
    private func problem(of tensor: Tensor) -> String? {
        guard tensor.count > 0 else { return nil }
        let last = tensor.name.utf8.lastIndex(of: UInt8(ascii: ".")).map { tensor.name[$0...].dropFirst() }
        let ending = String(last ?? tensor.name[...])
        var type: String { "\(tensor.dtype) \(tensor.shape)" }
        if ending == "SCB" { return "is a scale of LLM.int8 (bitsandbytes), which resect does not read (\(type))" }
        if UnexplainedParts.endings.contains(ending) || tensor.name.containsBytes(of: ".quant_state.") {
            return "is part of a quantized weight (\(type))"
        }
        if Cast.isWeight(tensor) {
            guard UnexplainedParts.isColumn(tensor), layers?.layer(of: tensor.name) != nil else { return nil }
            return "has one column, like packed codes (\(type))"
        }
        if !tensor.dtype.isInteger { return "is \(type)" + beside(tensor) }
        if ending == "weight" { return "is quantized (\(type))" + beside(tensor) }
        let sizes = tensor.shape.filter { $0 > 1 }
        let isMask = tensor.shape.count == 4 && tensor.shape[0] == 1 && tensor.shape[1] == 1
        guard UnexplainedParts.words.contains(tensor.dtype.name), sizes.count > 1, !isMask,
            !UnexplainedParts.indices.contains(where: ending.hasSuffix)
        else { return nil }
        return "is a matrix of integers, like a quantized weight (\(type))"
    }

    /// Whether a weight has one column: bitsandbytes can store packed codes as floats.
    private static func isColumn(_ tensor: Tensor) -> Bool {
        tensor.shape.count == 2 && tensor.shape[1] == 1 && tensor.shape[0] > 1 && tensor.name.hasSuffix(".weight")
    }

    /// Names a scale stored beside a weight.
    private func beside(_ tensor: Tensor) -> String {
        let module = tensor.name.hasSuffix(".weight") ? String(tensor.name.dropLast("weight".count)) : tensor.name + "_"
        let names = ["weight_scale", "weight_scale_inv", "scale_weight", "scales", "scale", "scale_inv"]
        let found = names.first { checkpoint.tensor(named: module + $0) != nil }
        return found.map { " with \($0) beside it" } ?? ""
    }
}

extension DType {
    /// Whether elements are integers or booleans.
    var isInteger: Bool { ["I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64", "BOOL"].contains(name) }
}

extension Checkpoint {
    /// Whether the weights can be decoded without a configuration: none is quantized, or bitsandbytes quantized them.
    func explainsItself() throws(CheckpointError) -> Bool {
        guard try QuantizationSettings(of: self) != nil else { return true }
        return BitsAndBytes(statesIn: self) != nil || UnexplainedParts(self).isEmpty
    }
}
