internal import Checkpoints
internal import Formats

/// A quantized weight, stored in several tensors, that can be decoded.
protocol CodedWeight: Sendable, CustomStringConvertible {
    /// [out, in]
    var shape: [Int] { get }
    /// The type of the dequantized weight when the configuration names none: that of its scales.
    var valueType: DType { get }
    /// Whether quantization rounded the values; false when the model was trained in this format.
    var isRounded: Bool { get }
    /// Decodes a range of rows and columns to f32, row after row.
    func writeValues(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError)
}

extension CodedWeight {
    var isRounded: Bool { true }
}

/// A quantized format with the settings of one checkpoint.
protocol QuantFormat: Sendable {
    /// Its name in messages.
    var name: String { get }
    /// The name suffixes of all parts, with the dot.
    var endings: [String] { get }
    /// The suffix that every quantized module has and no other tensor.
    var mark: String { get }
    /// Whether the weights of a layer's experts may be stacked: their parts then have one more dimension.
    var stacksExperts: Bool { get }
    /// The weight of a module.
    ///
    /// - Throws: when a part is missing or contradicts the others or the configuration.
    func weight(of module: CodedModule) throws(CheckpointError) -> any CodedWeight
}

extension QuantFormat {
    var stacksExperts: Bool { false }

    /// The quantized modules in checkpoint order, each with the index of its first part among the tensors; a stack of
    /// experts gives a module for each.
    ///
    /// - Throws: when a part belongs to no quantized module, or a module also has an unquantized weight.
    func modules(of checkpoint: Checkpoint) throws(CheckpointError) -> [(index: Int, module: CodedModule)] {
        var modules: Set<ExactString> = []
        for tensor in checkpoint.tensors where tensor.name.hasSuffix(mark) {
            modules.insert(ExactString(String(tensor.name.dropLast(mark.count))))
        }
        var order: [(index: Int, name: String)] = []
        var parts: [ExactString: [String: Tensor]] = [:]
        for (index, tensor) in checkpoint.tensors.enumerated() {
            guard let ending = endings.first(where: tensor.name.hasSuffix) else { continue }
            let name = String(tensor.name.dropLast(ending.count)), key = ExactString(name)
            guard modules.contains(key) else {
                if ending == ".weight" { continue }
                throw CheckpointError(
                    file: checkpoint.path, tensor: tensor.name,
                    "is part of a weight in \(self.name) format whose '\(name)\(mark)' is missing")
            }
            if parts[key] == nil { order.append((index, name)) }
            parts[key, default: [:]][ending] = tensor
        }
        if !endings.contains(".weight") {
            for tensor in checkpoint.tensors
            where tensor.name.hasSuffix(".weight") && modules.contains(ExactString(String(tensor.name.dropLast(7)))) {
                throw CheckpointError(
                    file: checkpoint.path, tensor: tensor.name, "is present both unquantized and in \(self.name) format"
                )
            }
        }
        var stacked: StackedExperts?
        var result: [(index: Int, module: CodedModule)] = []
        for (index, name) in order {
            let module = CodedModule(name: name, file: checkpoint.path, parts: parts[ExactString(name)] ?? [:])
            guard stacksExperts, module.parts[mark]?.shape.count == 3 else {
                result.append((index, module))
                continue
            }
            let names = if let stacked { stacked } else { try StackedExperts(checkpoint) }
            stacked = names
            result += try module.experts(names.members(ofStack: name)).map { (index, $0) }
        }
        return result
    }

    /// The quantized weights of a checkpoint by the name of the dequantized tensor.
    func weights(of checkpoint: Checkpoint) throws(CheckpointError) -> [ExactString: any CodedWeight] {
        var result: [ExactString: any CodedWeight] = [:]
        for (_, module) in try modules(of: checkpoint) {
            result[ExactString(module.weightName)] = try weight(of: module)
        }
        return result
    }
}

/// The quantized formats that resect reads.
enum QuantFormats {
    /// The quantized format of a folder, from its settings or from the tensors of bitsandbytes, which need no settings;
    /// `nil` when the folder is not quantized.
    ///
    /// - Throws: for a quantization or settings that resect does not read.
    static func format(of checkpoint: Checkpoint) throws(CheckpointError) -> (any QuantFormat)? {
        guard checkpoint.form != .gguf else { return nil }
        guard let found = try QuantizationSettings(of: checkpoint) else { return BitsAndBytes(statesIn: checkpoint) }
        let (settings, file) = (found.members, found.file)
        if let method = found.method, let format = try floatFormat(method: method, settings, file: file, of: checkpoint)
        {
            return format
        }
        switch found.method {
        case "mlx":
            if let format = try MicroscaledFormat.mlx(settings, file: file) { return format }
            return try MLXAffine(settings, file: file)
        case "compressed-tensors": return try CompressedTensors(settings, file: file)
        case "gptq": return try GPTQ(settings, file: file)
        case "awq": return try AWQ(settings, file: file)
        case nil: throw CheckpointError(file: file, "has a quantization_config without a quant_method")
        case let method?:
            throw CheckpointError(
                file: checkpoint.path, "is quantized with \(method), which resect does not read",
                hint: "read: compressed-tensors GPTQ AWQ MLX " + floatFormats)
        }
    }
}
