internal import Checkpoints
internal import Formats

/// A weight that lies packed in several tensors, as its values.
protocol CodedWeight: Sendable, CustomStringConvertible {
    /// [out, in]
    var shape: [Int] { get }
    /// The type that the weight is of when the configuration names none: that of its scales.
    var valueType: DType { get }
    /// Whether the values were rounded to what is packed; else they were trained so.
    var isRounded: Bool { get }
    /// Writes the values of some rows and columns, row after row, in f32 as the form defines them.
    func writeValues(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError)
}

extension CodedWeight {
    var isRounded: Bool { true }
}

/// A way to keep weights packed, as one checkpoint has it: what its configuration says.
protocol QuantFormat: Sendable {
    /// What users call it.
    var name: String { get }
    /// The ends of the names of all parts, with the dot.
    var endings: [String] { get }
    /// The end that every packed module has, and no other tensor.
    var mark: String { get }
    /// Takes the parts of a module together.
    ///
    /// - Throws: when a part is missing, or does not fit the others or the configuration.
    func weight(of module: CodedModule) throws(CheckpointError) -> any CodedWeight
}

extension QuantFormat {
    /// The packed modules of a checkpoint, in its order, and where the first part of each lies among the tensors.
    ///
    /// - Throws: when a part belongs to no packed module, or a module has its plain weight too.
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
                    "is a part of a weight packed as \(self.name), and there is no '\(name)\(mark)'")
            }
            if parts[key] == nil { order.append((index, name)) }
            parts[key, default: [:]][ending] = tensor
        }
        if !endings.contains(".weight") {
            for tensor in checkpoint.tensors
            where tensor.name.hasSuffix(".weight") && modules.contains(ExactString(String(tensor.name.dropLast(7)))) {
                throw CheckpointError(
                    file: checkpoint.path, tensor: tensor.name, "is there plain, and packed as \(self.name) too")
            }
        }
        return order.map { index, name in
            (index, CodedModule(name: name, file: checkpoint.path, parts: parts[ExactString(name)] ?? [:]))
        }
    }

    /// The packed weights of a checkpoint, each by the name that it has when it is plain.
    func weights(of checkpoint: Checkpoint) throws(CheckpointError) -> [ExactString: any CodedWeight] {
        var result: [ExactString: any CodedWeight] = [:]
        for (_, module) in try modules(of: checkpoint) {
            result[ExactString(module.name + ".weight")] = try weight(of: module)
        }
        return result
    }
}

/// The forms that are read.
enum QuantFormats {
    /// The form that the weights of a folder are packed in, by its settings, or by the tensors of bitsandbytes, which say
    /// everything themselves; `nil` when nothing says that they are packed.
    ///
    /// - Throws: for a quantization that is not read, or settings that are not.
    static func form(of checkpoint: Checkpoint) throws(CheckpointError) -> (any QuantFormat)? {
        guard checkpoint.form != .gguf else { return nil }
        guard let found = try QuantizationSettings(of: checkpoint) else { return BitsAndBytes(statesIn: checkpoint) }
        let (settings, file) = (found.members, found.file)
        if let method = found.method, let form = try floatForm(method: method, settings, file: file, of: checkpoint) {
            return form
        }
        switch found.method {
        case "mlx":
            if let form = try MicroscaledForm.mlx(settings, file: file) { return form }
            return try MLXAffine(settings, file: file)
        case "compressed-tensors": return try CompressedTensors(settings, file: file)
        case "gptq": return try GPTQ(settings, file: file)
        case "awq": return try AWQ(settings, file: file)
        case nil: throw CheckpointError(file: file, "has a quantization_config that names no quant_method")
        case let method?:
            throw CheckpointError(
                file: checkpoint.path, "is quantized with \(method), whose tensors are not read",
                hint: "read: compressed-tensors GPTQ AWQ MLX " + floatForms)
        }
    }
}
