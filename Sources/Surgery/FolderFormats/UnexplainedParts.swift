internal import Checkpoints
internal import Formats

/// Finds tensors that are packed, or belong to packed weights, by their names, types and shapes. What is left of them when
/// all settings were read has no known values: it can be copied, and not cast, packed or computed with.
struct UnexplainedParts {
    private let checkpoint: Checkpoint
    /// The layers, where some tensor has the one column of packed bytes.
    private let layers: LayerPattern?

    /// Looks at a folder or a safetensors file. A GGUF file names the type of every tensor, so nothing is unexplained there.
    init(_ checkpoint: Checkpoint) {
        self.checkpoint = checkpoint
        layers = checkpoint.tensors.contains(where: UnexplainedParts.isColumn) ? checkpoint.layerPattern : nil
    }

    /// Last components of names that only parts of packed weights have, whatever packed them.
    private static let endings: Set<String> = [
        "qweight", "qzeros", "g_idx", "scales", "weight_packed", "weight_scale", "weight_scale_inv", "weight_scale_2",
        "weight_global_scale", "weight_zero_point", "weight_shape", "weight_g_idx", "weight_scales", "scale_weight",
        "absmax", "quant_map", "nested_absmax", "nested_quant_map", "SCB", "weight_format", "Qidxs", "codebooks",
    ]
    /// Integer types that codes are packed in. Codes are never of 64 bits, and masks are BOOL.
    private static let words: Set<String> = ["I8", "U8", "I16", "U16", "I32", "U32"]
    /// Ends of names of tensors that hold indices or masks.
    private static let indices = ["ids", "index", "2eid", "mask"]

    /// Whether there are such tensors.
    var isEmpty: Bool { checkpoint.form == .gguf || checkpoint.tensors.allSatisfy { problem(of: $0) == nil } }

    /// Refuses the first such tensor.
    ///
    /// - Parameter form: what the settings are of, when there are any.
    func refuse(form: String?) throws(CheckpointError) {
        guard checkpoint.form != .gguf else { return }
        // Codes say more about the fault than the scales beside them.
        var found: (tensor: Tensor, problem: String)?
        for tensor in checkpoint.tensors {
            let isCodes = !Cast.isWeight(tensor) && tensor.shape.count > 1
            guard found == nil || isCodes, let problem = problem(of: tensor) else { continue }
            found = (tensor, problem)
            if isCodes { break }
        }
        guard let (tensor, problem) = found else { return }
        let settings = form.map { "the settings of \($0) do not say" } ?? "nothing says"
        throw CheckpointError(
            file: checkpoint.path, tensor: tensor.name, "\(problem), and \(settings) what values it stands for",
            hint: form == nil ? hint : nil)
    }

    private var hint: String {
        checkpoint.form == .folder
            ? "put the quantization_config of the model into config.json, or its quantize_config.json beside it"
            : "name the folder that the file lies in, with the config.json of the model"
    }

    /// What shows that a tensor is packed; `nil` for plain weights and for indices.
    private func problem(of tensor: Tensor) -> String? {
        guard tensor.count > 0 else { return nil }
        let last = tensor.name.utf8.lastIndex(of: UInt8(ascii: ".")).map { tensor.name[$0...].dropFirst() }
        let ending = String(last ?? tensor.name[...])
        var type: String { "\(tensor.dtype) \(tensor.shape)" }
        if ending == "SCB" { return "is a scale of LLM.int8 of bitsandbytes, which is not read (\(type))" }
        if UnexplainedParts.endings.contains(ending) || tensor.name.containsBytes(of: ".quant_state.") {
            return "is a part of a packed weight (\(type))"
        }
        if Cast.isWeight(tensor) {
            guard UnexplainedParts.isColumn(tensor), layers?.layer(of: tensor.name) != nil else { return nil }
            return "has one column, as packed bytes have (\(type))"
        }
        if !tensor.dtype.isInteger { return "is \(type)" + beside(tensor) }
        if ending == "weight" { return "is packed (\(type))" + beside(tensor) }
        let sizes = tensor.shape.filter { $0 > 1 }
        let isMask = tensor.shape.count == 4 && tensor.shape[0] == 1 && tensor.shape[1] == 1
        guard UnexplainedParts.words.contains(tensor.dtype.name), sizes.count > 1, !isMask,
            !UnexplainedParts.indices.contains(where: ending.hasSuffix)
        else { return nil }
        return "is a matrix of integers, as packed weights are (\(type))"
    }

    /// Whether a weight has one column: bitsandbytes can store the bytes of its codes as floats.
    private static func isColumn(_ tensor: Tensor) -> Bool {
        tensor.shape.count == 2 && tensor.shape[1] == 1 && tensor.shape[0] > 1 && tensor.name.hasSuffix(".weight")
    }

    /// Names a scale that lies beside a weight.
    private func beside(_ tensor: Tensor) -> String {
        let module = tensor.name.hasSuffix(".weight") ? String(tensor.name.dropLast("weight".count)) : tensor.name + "_"
        let names = ["weight_scale", "weight_scale_inv", "scale_weight", "scales", "scale", "scale_inv"]
        let found = names.first { checkpoint.tensor(named: module + $0) != nil }
        return found.map { " with \($0) beside it" } ?? ""
    }
}

extension DType {
    /// Whether elements are integers or truth values.
    var isInteger: Bool { ["I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64", "BOOL"].contains(name) }
}

extension Checkpoint {
    /// Whether packed weights keep their meaning without a configuration: there are none, or bitsandbytes packed them.
    func explainsItself() throws(CheckpointError) -> Bool {
        guard try QuantizationSettings(of: self) != nil else { return true }
        return BitsAndBytes(statesIn: self) != nil || UnexplainedParts(self).isEmpty
    }
}
