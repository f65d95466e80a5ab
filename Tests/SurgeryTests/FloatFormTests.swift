import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// A folder of fixtures/floats that a peer packed.
struct FloatForm: Sendable, CustomStringConvertible {
    let name: String
    /// How it is written; `nil` for what is read only.
    var type: FolderType?
    var blockSize: Int?
    var isDouble = false

    var description: String { name }

    static let written = [
        FloatForm(name: "nf4", type: .nf4), FloatForm(name: "nf4-nested", type: .nf4, blockSize: 32, isDouble: true),
        FloatForm(name: "fp4", type: .fp4), FloatForm(name: "fp4-nested", type: .fp4, blockSize: 128, isDouble: true),
        FloatForm(name: "nvfp4", type: .nvfp4), FloatForm(name: "mxfp4", type: .mxfp4),
        FloatForm(name: "mlx-mxfp4", type: .mlxMXFP4), FloatForm(name: "mlx-nvfp4", type: .mlxNVFP4),
    ]
    static let all =
        written
        + ["modelopt", "fp8-tensor", "fp8-channel", "fp8-block", "fp8-deepseek", "fp8-fbgemm"].map {
            FloatForm(name: $0)
        }

    func folder() throws -> Checkpoint { try Checkpoint.open(Fixture.path("floats/" + name)) }

    static func plain() throws -> Checkpoint { try Checkpoint.open(Fixture.path("floats/plain")) }

    var settings: FolderQuantizationSettings {
        var settings = FolderQuantizationSettings()
        settings.blockSize = blockSize
        settings.isDouble = isDouble
        return settings
    }
}

@Suite("forms whose codes are floats")
struct FloatFormTests {
    @Test("weights are packed as the peer packs them, to the byte", arguments: FloatForm.written)
    func packed(form: FloatForm) throws {
        let known = try form.folder()
        let found = try QuantizeFolder(try #require(form.type), settings: form.settings).apply(to: FloatForm.plain())
        #expect(Set(found.tensors.map(\.name)) == Set(known.tensors.map(\.name)))
        for part in known.tensors {
            let tensor = try #require(found.tensor(named: part.name))
            #expect(tensor.dtype == part.dtype && tensor.shape == part.shape, "\(part.name)")
            #expect(try Models.bytes(tensor) == Models.bytes(part), "\(part.name)")
        }
        let settings = [found, known].map { sorted($0.config?["quantization_config"] ?? .null) }
        #expect(settings[0] == settings[1])
    }

    /// A value with the members of all objects in order of their keys.
    private func sorted(_ value: JSON) -> JSON {
        guard let object = value.object else { return value }
        return .object(JSONObject(object.members.sorted { $0.0 < $1.0 }.map { ($0, sorted($1)) }))
    }

    @Test("packed weights are read as the peer reads them, in f32", arguments: FloatForm.all)
    func unpacked(form: FloatForm) throws {
        let answers = try Checkpoint.open(Fixture.path("floats/\(form.name).safetensors"))
        let found = try DequantizeFolder(to: .f32).apply(to: form.folder())
        #expect(answers.tensors.count >= 2)
        for answer in answers.tensors {
            let tensor = try #require(found.tensor(named: answer.name))
            #expect(tensor.dtype == .f32 && tensor.shape == answer.shape)
            // By value: what a zero's sign is, the peers do not agree on.
            #expect(try values(tensor) == values(answer), "\(answer.name)")
        }
        #expect(found.config?["quantization_config"] == nil)
        #expect(Set(found.tensors.map(\.name)) == Set(try FloatForm.plain().tensors.map(\.name)))
    }

    @Test("some rows and columns of a packed weight are those of the whole", arguments: FloatForm.all)
    func parts(form: FloatForm) throws {
        let found = try DequantizeFolder(to: .f32).apply(to: form.folder())
        for tensor in found.tensors.filter({ $0.shape.count == 2 && $0.name.contains(".layers.") }) {
            let whole = try Models.bytes(tensor), row = tensor.rowByteCount
            for rows in [0..<1, 3..<7, tensor.rowCount - 1..<tensor.rowCount] {
                let part = try tensor.withBytes(rows: rows) { [UInt8]($0) }
                #expect(part == Array(whole[rows.lowerBound * row..<rows.upperBound * row]), "\(tensor.name) \(rows)")
            }
        }
    }

    private func values(_ tensor: Tensor) throws -> [Float] {
        try tensor.withBytes(rows: 0..<tensor.rowCount) { bytes in
            (0..<tensor.count).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
        }
    }

    @Test("codes and scales go to GGUF's blocks and back bit for bit", arguments: [FolderType.nvfp4, .mxfp4])
    func exactBlocks(type: FolderType) throws {
        let packed = try QuantizeFolder(type).apply(to: Models.fixture())
        let gguf = try Convert(to: .gguf, keepsBlocks: true).apply(to: packed)
        let dtype = try #require(DType(named: type.rawValue))
        let blocks = gguf.tensors.filter { $0.dtype == dtype }
        #expect(blocks.count == 7 * 12)
        #expect(gguf.tensors.count { $0.name.hasSuffix(".scale") } == (type == .nvfp4 ? blocks.count : 0))
        let back = try QuantizeFolder(type).apply(to: Convert(to: .folder).apply(to: gguf))
        for part in packed.tensors where part.name.hasSuffix(".weight_packed") || part.name.hasSuffix(".weight_scale") {
            #expect(try Models.bytes(back.tensor(named: part.name)) == Models.bytes(part), "\(part.name)")
        }
        // The values too, up to the inverse of a global scale.
        let before = try DequantizeFolder(to: .f32).apply(to: packed)
        let after = try Convert(to: .folder, dtype: .f32).apply(to: gguf)
        for tensor in before.tensors where tensor.dtype == .f32 {
            let (a, b) = (try values(tensor), try values(try #require(after.tensor(named: tensor.name))))
            #expect(zip(a, b).allSatisfy { abs($0 - $1) <= 2 * $0.ulp }, "\(tensor.name)")
        }
    }

    @Test("codes and scales go from one form to another bit for bit, where that has no less to say")
    func exactForms() throws {
        func plan(_ form: String, _ type: FolderType) throws -> FolderPlan {
            try QuantizeFolder(type).plan(FloatForm(name: form).folder())
        }
        let fromMLX = try plan("mlx-mxfp4", .mxfp4)
        #expect(fromMLX.exactCount == 7 && fromMLX.quantizedCount == 7)
        let toMLX = try plan("mxfp4", .mlxMXFP4)
        // Embeddings and the output matrix were plain.
        #expect(toMLX.exactCount == 7 && toMLX.quantizedCount == 9)
        #expect(try plan("mlx-nvfp4", .nvfp4).exactCount == 7)
        #expect(try plan("nvfp4", .mlxNVFP4).exactCount == 0)
        #expect(try plan("modelopt", .nvfp4).exactCount == 7)
        #expect(try plan("nf4", .fp4).exactCount == 0)
        let codes = try FloatForm(name: "mxfp4").folder().tensor(named: "model.layers.0.mlp.up_proj.weight_packed")
        let found = toMLX.checkpoint.tensor(named: "model.layers.0.mlp.up_proj.weight")
        #expect(try Models.bytes(found) == Models.bytes(codes))
    }

    @Test("what rounding again changes is what the two folders differ by", arguments: [FolderType.nf4, .nvfp4, .gptq])
    func differences(type: FolderType) throws {
        let packed = try QuantizeFolder(.mxfp4).apply(to: Models.fixture())
        let plan = try QuantizeFolder(type).plan(packed)
        #expect(plan.exactCount == 0 && plan.roundedCount == 7 * 12)
        let (before, after) = (
            try DequantizeFolder(to: .f32).apply(to: packed), try DequantizeFolder(to: .f32).apply(to: plan.checkpoint)
        )
        let found = try plan.differences(threads: 2)
        #expect(found.count == plan.roundedCount)
        for difference in found.prefix(4) {
            let a = try values(try #require(before.tensor(named: difference.tensor)))
            let b = try values(try #require(after.tensor(named: difference.tensor)))
            let gaps = zip(a, b).map { Double(abs($0 - $1)) }
            #expect(difference.maximum == gaps.max() && difference.maximum > 0)
            let meanSquare = gaps.reduce(0) { $0 + $1 * $1 } / Double(gaps.count)
            #expect(abs(difference.rootMeanSquare - meanSquare.squareRoot()) < 1e-9)
        }
    }

    @Test("blocks of a row of 32 do not fill those of NVFP4, and the weight becomes a plain one")
    func shortRows() throws {
        let packed = try FloatForm(name: "nvfp4").folder()
        var model = try Models.small()
        let name = "model.layers.0.mlp.down_proj"
        model.tensors = packed.tensors.filter { $0.name.hasPrefix(name) }
        model.config?["quantization_config"] = packed.config?["quantization_config"]
        model.architecture = packed.architecture
        let tensors = try DequantizeFolder(to: .bf16).apply(to: model).tensors
        #expect(tensors.map(\.dtype) == [.bf16] && tensors.map(\.shape) == [[64, 32]])
    }

    @Test("a value that is no number has no code", arguments: [FolderType.nf4, .fp4, .nvfp4, .mxfp4])
    func nonfinite(type: FolderType) throws {
        var model = try FloatForm.plain()
        let index = try #require(model.tensors.firstIndex { $0.name == "model.layers.0.self_attn.k_proj.weight" })
        let tensor = model.tensors[index]
        model.tensors[index] = Tensor(
            name: tensor.name, dtype: .bf16, shape: tensor.shape, recipe: .computed(OneInfinity(row: 3, source: tensor))
        )
        let packed = try QuantizeFolder(type).apply(to: model)
        let part = try #require(packed.tensors.first { $0.name.hasPrefix("model.layers.0.self_attn.k_proj.weight") })
        expectRefusal("has the value inf in row 3, column 1, which a quantized weight cannot hold") {
            _ = try Models.bytes(part)
            return packed
        }
    }
}

/// A tensor of bf16 with an infinity in the second column of a row.
private struct OneInfinity: RowSource {
    let row: Int
    let source: Tensor

    var description: String { "an infinity" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        try source.withBytes(rows: rows) { output.copyMemory(from: $0) }
        guard rows.contains(row) else { return }
        output.storeBytes(of: 0x7F80, toByteOffset: (row - rows.lowerBound) * source.rowByteCount + 2, as: UInt16.self)
    }
}
