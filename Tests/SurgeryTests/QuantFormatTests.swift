import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// Known answers of the packed forms, fixtures/forms: what the peers make of small weights.
struct KnownForm: Sendable, CustomStringConvertible {
    let type: FolderType
    let name: String
    /// The plain weight; `nil` for what is only read.
    let weight: Tensor?
    /// The parts, each by its name behind the module.
    let parts: [String: Tensor]
    /// What the parts stand for, in f32.
    let values: Tensor

    var description: String { "\(type) \(name)" }

    /// The forms of integers in groups.
    static let types: [FolderType] = [.w4a16, .gptq, .awq, .mlx4]

    static let all: [KnownForm] = [
        ("compressed-tensors", FolderType.w4a16), ("gptq", .gptq), ("awq", .awq), ("mlx", .mlx4),
    ].flatMap(cases)

    private static func cases(_ file: String, _ type: FolderType) -> [KnownForm] {
        guard let checkpoint = try? Checkpoint.open(Fixture.path("forms/\(file).safetensors")) else { return [] }
        var cases: [String: [String: Tensor]] = [:]
        for tensor in checkpoint.tensors {
            let parts = tensor.name.split(separator: "/", maxSplits: 1).map(String.init)
            cases[parts[0], default: [:]][parts[1]] = tensor
        }
        return cases.sorted { $0.key < $1.key }.compactMap { name, parts in
            var parts = parts
            let weight = parts.removeValue(forKey: "weight")
            // MLX gives the words the name of the plain weight.
            if let packed = parts.removeValue(forKey: "packed") { parts["weight"] = packed }
            return parts.removeValue(forKey: "values").map {
                KnownForm(type: type, name: name, weight: weight, parts: parts, values: $0)
            }
        }
    }

    /// What the name of the case says.
    var settings: FolderQuantizationSettings {
        var settings = FolderQuantizationSettings()
        let words = name.split(separator: "-")
        settings.groupSize = words.count > 1 ? Int(words[1]) : 32
        settings.isSymmetric = words.contains("symmetric") ? true : words.contains("asymmetric") ? false : nil
        settings.isSecondVersion = words.contains("v2")
        return settings
    }

    static let module = "model.layers.0.mlp.up_proj"

    /// A folder with one layer that has a weight.
    static func folder(_ weight: Tensor) throws -> Checkpoint {
        var checkpoint = try Models.folder(layers: 0, config: #"{"dtype": "float32"}"#)
        var tensor = weight
        tensor.name = module + ".weight"
        checkpoint.tensors = [tensor]
        return checkpoint
    }

    /// A folder with the parts, as its configuration says what they are.
    func quantizedFolder() throws -> Checkpoint {
        var checkpoint = try QuantizeFolder(type, settings: settings).apply(to: KnownForm.folder(values))
        checkpoint.tensors = parts.sorted { $0.key < $1.key }.map { name, tensor in
            var tensor = tensor
            tensor.name = KnownForm.module + "." + name
            return tensor
        }
        if name.hasSuffix("8bits") {
            for key in ["quantization_config", "quantization"] {
                guard var settings = checkpoint.config?[key]?.object else { continue }
                settings["bits"] = .int(8)
                checkpoint.config?[key] = .object(settings)
            }
        }
        return checkpoint
    }
}

@Suite("packed forms")
struct QuantFormatTests {
    @Test("the known answers are there")
    func complete() { #expect(KnownForm.all.count == 6 + 11 + 3 + 9) }

    @Test("weights are packed as the peer packs them", arguments: KnownForm.all.filter { $0.weight != nil })
    func packs(known: KnownForm) throws {
        let weight = try #require(known.weight)
        let packed = try QuantizeFolder(known.type, settings: known.settings).apply(to: KnownForm.folder(weight))
        #expect(packed.tensors.count == known.parts.count)
        for (name, part) in known.parts {
            let found = try #require(packed.tensor(named: "\(KnownForm.module).\(name)"), "\(name)")
            #expect(found.dtype == part.dtype && found.shape == part.shape, "\(name)")
            #expect(try Models.bytes(found) == Models.bytes(part), "\(name)")
        }
    }

    @Test("parts are read as the values that they stand for", arguments: KnownForm.all)
    func unpacks(known: KnownForm) throws {
        let plain = try DequantizeFolder(to: .f32).apply(to: known.quantizedFolder())
        #expect(plain.tensors.count == 1)
        let weight = try #require(plain.tensor(named: KnownForm.module + ".weight"))
        #expect(weight.shape == known.values.shape)
        #expect(try Models.bytes(weight) == Models.bytes(known.values))
        // Any rows by themselves are the same.
        let row = try weight.withBytes(rows: 5..<7) { [UInt8]($0) }
        #expect(try row == known.values.withBytes(rows: 5..<7) { [UInt8]($0) })
    }

    @Test("a repack to another form keeps every value", arguments: KnownForm.all, KnownForm.types)
    func repacks(known: KnownForm, type: FolderType) throws {
        var source = try known.quantizedFolder()
        source.config?["dtype"] = .string("bfloat16")
        var settings = FolderQuantizationSettings()
        settings.isSecondVersion = true
        if !known.name.contains("-") || known.name.hasSuffix("8bits") { settings.groupSize = 32 }
        let plan = try QuantizeFolder(type, settings: settings).plan(source)
        let back = try DequantizeFolder(to: .f32).apply(to: plan.checkpoint)
        let values = try Models.bytes(back.tensors.first)
        // The scales of GPTQ and AWQ are F16, their rows fill words, and biases of MLX are rarely multiples.
        let isPossible = !known.name.hasSuffix("8bits") && known.name != "ordered"
        let isExact = try values == Models.bytes(known.values)
        #expect(plan.exactCount == 0 || isExact)
        #expect(isPossible || plan.exactCount == 0)
        if isPossible, known.type != .mlx4, !known.name.hasPrefix("f32") || known.type == type,
            type == .w4a16 || type == .mlx4 || known.type != .w4a16
        {
            #expect(plan.exactCount == 1)
        }
        if plan.exactCount == 0 {
            let difference = try #require(plan.differences(threads: 2).first)
            #expect(difference.maximum > 0 && difference.rootMeanSquare <= difference.maximum)
        }
    }

    @Test("columns are read behind casts and orders of rows as rows are", arguments: [FolderType.gptq, .awq])
    func columns(type: FolderType) throws {
        let mixture = try #require(Mixture.named("Q8_0"))
        let computed = try Models.fixture().applying([Convert(to: .gguf), Quantize(mixture), Convert(to: .folder)])
        var held = computed
        for (index, tensor) in computed.tensors.enumerated() {
            let bytes = try Models.bytes(tensor)
            held.tensors[index].recipe = .computed(HeldRows(bytes: bytes, rowByteCount: tensor.rowByteCount))
        }
        var settings = FolderQuantizationSettings()
        settings.allowsRequantize = true
        let quantize = QuantizeFolder(type, settings: settings)
        let found = try quantize.apply(to: computed), wanted = try quantize.apply(to: held)
        for tensor in wanted.tensors.prefix(60) {
            #expect(try Models.bytes(found.tensor(named: tensor.name)) == Models.bytes(tensor), "\(tensor.name)")
        }
    }

    @Test("rows of a part do not depend on how many are asked for at once", arguments: KnownForm.types)
    func slabs(type: FolderType) throws {
        let packed = try QuantizeFolder(type).apply(to: try Models.fixture())
        for tensor in packed.tensors.prefix(12) {
            let whole = try Models.bytes(tensor)
            let first = min(3, tensor.rowCount)
            let parts = try [0..<first, first..<tensor.rowCount].flatMap { rows in
                try tensor.withBytes(rows: rows) { [UInt8]($0) }
            }
            #expect(parts == whole, "\(tensor.name)")
        }
    }

    @Test("what is unpacked is near what was packed", arguments: KnownForm.types)
    func roundTrip(type: FolderType) throws {
        let model = try Models.fixture()
        let unpacked = try DequantizeFolder().apply(to: QuantizeFolder(type).apply(to: model))
        #expect(unpacked.config == model.config)
        #expect(unpacked.tensors.map(\.name) == model.tensors.map(\.name))
        let name = KnownForm.module + ".weight"
        let before = try floats(model.tensor(named: name)), after = try floats(unpacked.tensor(named: name))
        #expect(before.count == after.count && !before.isEmpty)
        let error = zip(before, after).reduce(Float(0)) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        let size = before.reduce(Float(0)) { $0 + $1 * $1 }
        #expect(error > 0 && error < 0.02 * size)
    }

    private func floats(_ tensor: Tensor?) throws -> [Float] {
        let bytes = try Models.bytes(tensor)
        return stride(from: 0, to: bytes.count, by: 2).map {
            Float(bitPattern: UInt32(bytes[$0]) << 16 | UInt32(bytes[$0 + 1]) << 24)
        }
    }

    @Test("a folder that is not packed stays as it is")
    func plain() throws {
        let model = try Models.fixture()
        let same = try DequantizeFolder(to: .f32).apply(to: model)
        #expect(same.tensors.map(\.dtype) == model.tensors.map(\.dtype) && same.config == model.config)
    }
}

/// Rows that lie in memory.
private struct HeldRows: RowSource {
    let bytes: [UInt8]
    let rowByteCount: Int

    var description: String { "\(bytes.count) bytes" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) {
        output.copyBytes(from: bytes[rows.lowerBound * rowByteCount..<rows.upperBound * rowByteCount])
    }
}
